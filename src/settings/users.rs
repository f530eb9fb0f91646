//! Who a user id is. Without the C library's look-ups: those load the machine's own libraries, which a
//! statically linked program must not.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the user database says of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub home: PathBuf,
}

/// From `/etc/passwd`, else from whatever directory service this machine asks.
pub fn find(uid: u32) -> Option<User> {
    let file = fs::read("/etc/passwd").ok();
    file.and_then(|database| entry(&database, uid)).or_else(|| entry(&asked(uid)?, uid))
}

/// By the system's own program: nothing of the caller's environment decides which, or what it asks.
fn asked(uid: u32) -> Option<Vec<u8>> {
    let mut command = Command::new("/usr/bin/getent");
    command.env_clear().args(["passwd", &uid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().ok().map(|output| output.stdout)
}

/// The first line for `uid`: `name:password:uid:group:comment:home:shell`.
fn entry(database: &[u8], uid: u32) -> Option<User> {
    database.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = std::str::from_utf8(fields.next()?).ok()?.to_owned();
        let number = std::str::from_utf8(fields.nth(1)?).ok()?;
        let home = PathBuf::from(OsStr::from_bytes(fields.nth(2)?));
        (number.parse() == Ok(uid)).then_some(User { name, home })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_its_number_alone() {
        let database = b"root:x:0:0:root:/root:/bin/sh\n# 7\n\nbroken:x:7\nodd:x:x:7:7:/7:\nsmith:x:7:7:A. Smith,,,:/srv/smith:/bin/sh\nagain:x:7:7::/other:";
        let smith = User { name: "smith".to_owned(), home: "/srv/smith".into() };
        assert_eq!(entry(database, 7), Some(smith));
        assert_eq!(entry(database, 70), None);
        assert_eq!(entry(b"", 0), None);
    }

    #[test]
    fn the_machine_knows_root() {
        let root = find(0).unwrap();
        assert_eq!(root.name, "root");
        assert_eq!(entry(&asked(0).unwrap(), 0), Some(root));
        assert_eq!(find(4_000_000_001), None);
    }
}
