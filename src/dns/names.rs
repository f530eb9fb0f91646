//! Host names in one spelling: lower case, A-labels, no trailing dot.
//!
//! Owns what counts as a host name; decides nothing about who may ask for one.

use thiserror::Error;

/// The longest host name in its textual form, without the trailing dot (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;
/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;

/// Why a text cannot be a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("a host name must not be empty")]
    Empty,
    #[error("a host name has at most {LONGEST_NAME} characters")]
    TooLong,
    #[error("each label of a host name has 1 to {LONGEST_LABEL} characters")]
    Label,
    #[error("a host name consists of letters, digits, hyphens and underscores")]
    Character,
    #[error("a host name does not begin with a hyphen")]
    LeadingHyphen,
    /// `127.1`, `0x7f000001`: programs that take numbers for addresses never ask a name server.
    #[error("a name whose last label is a number is an address")]
    Number,
    #[error("not a valid internationalised host name")]
    Idna,
}

/// Normalises a name as a person or a program spells it. Names with characters beyond ASCII go
/// through UTS 46, so that look-alikes become the different A-labels that they are.
pub fn normalise(text: &str) -> Result<String, NameError> {
    let name = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(text).map_err(|_| NameError::Idna)?
    };
    checked(name.strip_suffix('.').map(str::to_owned).unwrap_or(name))
}

/// Normalises a name's labels as a query carries them: bytes, each without its length.
pub(super) fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Result<String, NameError> {
    let mut name = String::with_capacity(64);
    for label in labels {
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in label {
            // A dot inside a label would name something else once it is text.
            if !is_host_byte(byte) {
                return Err(NameError::Character);
            }
            name.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    checked(name)
}

/// Whether `name` is `zone` or lies beneath it. Both are normalised.
pub(super) fn within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn checked(name: String) -> Result<String, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > LONGEST_NAME {
        return Err(NameError::TooLong);
    }
    if name.starts_with('-') {
        return Err(NameError::LeadingHyphen);
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return Err(NameError::Label);
        }
        if !label.bytes().all(is_host_byte) {
            return Err(NameError::Character);
        }
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return Err(NameError::Number);
    }
    Ok(name)
}

/// Decimal, octal or hexadecimal, as `inet_aton` and browsers read them.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        let cases = [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("exa\u{ad}mple.com", "example.com"),
            ("example。com", "example.com"),
            ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
            // Cyrillic а: another name, and visibly so.
            ("аpple.com", "xn--pple-43d.com"),
            ("localhost", "localhost"),
            ("my_service", "my_service"),
            ("r3---sn-4g5e6nez.example", "r3---sn-4g5e6nez.example"),
            ("4chan.example", "4chan.example"),
            ("1.2.3.4.nip.test", "1.2.3.4.nip.test"),
        ];
        for (text, name) in cases {
            assert_eq!(normalise(text).as_deref(), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = format!("{}a", "a.".repeat(127));
        let cases = [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("example..com", NameError::Label),
            (".example.com", NameError::Label),
            ("example.com..", NameError::Label),
            (&long_label, NameError::Label),
            (&long_name, NameError::TooLong),
            ("exam ple.com", NameError::Character),
            ("example.com\n", NameError::Character),
            ("example.com:80", NameError::Character),
            ("user@example.com", NameError::Character),
            ("*.example.com", NameError::Character),
            ("[::1]", NameError::Character),
            ("-rf.example.com", NameError::LeadingHyphen),
            ("127.0.0.1", NameError::Number),
            ("127.1", NameError::Number),
            ("2130706433", NameError::Number),
            ("0x7f000001", NameError::Number),
            ("0x7F.1", NameError::Number),
            ("0177.0.0.0x1", NameError::Number),
            ("１２７.0.0.１", NameError::Number),
            ("example.1.", NameError::Number),
        ];
        for (text, error) in cases {
            assert_eq!(normalise(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn labels_with_bytes_that_text_would_misread_are_refused() {
        let labels = |labels: &[&'static [u8]]| from_labels(labels.iter().copied());
        assert_eq!(labels(&[b"API", b"Example", b"com"]).as_deref(), Ok("api.example.com"));
        assert_eq!(labels(&[b"api.example", b"com"]), Err(NameError::Character));
        assert_eq!(labels(&[b"api\0", b"com"]), Err(NameError::Character));
        assert_eq!(labels(&["bücher".as_bytes(), b"com"]), Err(NameError::Character));
        assert_eq!(labels(&[b"127", b"1"]), Err(NameError::Number));
        assert_eq!(labels(&[]), Err(NameError::Empty));
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_beneath() {
        assert!(within("corp.test", "corp.test"));
        assert!(within("db.corp.test", "corp.test"));
        assert!(!within("evilcorp.test", "corp.test"));
        assert!(!within("test", "corp.test"));
    }
}
