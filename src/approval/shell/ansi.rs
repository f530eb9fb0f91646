//! ANSI-C quotes: `$'a\n'`.

use super::Unreadable;

/// The escapes of `$'…'`.
pub(super) fn decode(body: &str) -> Result<String, Unreadable> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().ok_or(Unreadable::Syntax)?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        let simple = match escape {
            'a' => 7,
            'b' => 8,
            'e' | 'E' => 27,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '\'' | '"' | '?' => escape as u8,
            'x' => u8::try_from(digits(&mut rest, 16, 2)).unwrap_or(0),
            'c' => {
                let control = rest.bytes().next().ok_or(Unreadable::Syntax)?;
                rest = rest.get(1..).ok_or(Unreadable::NotUtf8)?;
                control & 0x1f
            }
            'u' | 'U' => {
                let value = digits(&mut rest, 16, if escape == 'u' { 4 } else { 8 });
                let decoded = char::from_u32(value).ok_or(Unreadable::NotUtf8)?;
                bytes.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            '0'..='7' => {
                let first = escape.to_digit(8).unwrap_or(0);
                let more = rest.len();
                let tail = digits(&mut rest, 8, 2);
                let shift = 3 * (more - rest.len());
                u8::try_from(((first << shift) | tail) & 0xff).unwrap_or(0)
            }
            other => {
                bytes.push(b'\\');
                bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        bytes.push(simple);
    }
    bytes.extend_from_slice(rest.as_bytes());
    // The shell ends such a string at a NUL; what is not UTF-8 is not followed further.
    if bytes.contains(&0) {
        return Err(Unreadable::Nul);
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)
}

/// Takes at most `most` digits from the front of `rest`.
fn digits(rest: &mut &str, radix: u32, most: usize) -> u32 {
    let length = rest.bytes().take(most).take_while(|byte| char::from(*byte).is_digit(radix)).count();
    let value = u32::from_str_radix(&rest[..length], radix).unwrap_or(0);
    *rest = &rest[length..];
    value
}
