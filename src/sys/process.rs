//! What `/proc` says of a process. Its name stands among it, which may hold anything, also what is no UTF-8: a process
//! that names itself so is read like any other.

use std::io;

/// A field of the line in `/proc/PID/stat` by its number in `man 5 proc_pid_stat`, from the third on: those after the
/// name. Async-signal-safe.
pub fn stat_field(stat: &[u8], number: usize) -> Option<&str> {
    let after = stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2..)?;
    std::str::from_utf8(after.split(|byte| *byte == b' ').nth(number.checked_sub(3)?)?).ok()
}

/// All of `/proc/TID/status`.
pub fn status(tid: i32) -> io::Result<String> {
    let bytes = std::fs::read(format!("/proc/{tid}/status"))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_behind_any_name() {
        for (stat, parent) in [
            (b"12 (sh) S 7 12 12 0".as_slice(), Some("7")),
            (b"12 (a) R 1 (b) S 7 12", Some("7")),
            (b"12 (\xff) S 7 12", Some("7")),
            (b"12 (sh", None),
            (b"12 (sh)", None),
            (b"", None),
        ] {
            assert_eq!(stat_field(stat, 4), parent, "{stat:?}");
        }
        assert_eq!(stat_field(b"12 (sh) S 7", 3), Some("S"));
        assert_eq!(stat_field(b"12 (sh) S 7", 2), None);
    }
}
