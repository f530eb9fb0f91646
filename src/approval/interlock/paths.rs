//! Which paths must not be wiped or overwritten, in whatever spelling.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::approval::arg::{Arg, NUMBER, UNKNOWN};
use crate::approval::expand::EXTENDED;
use crate::approval::request::Surroundings;
use crate::policy::lexical;

/// Directories of the system whose loss is the loss of the machine.
const SYSTEM: [&str; 42] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/mail",
    "/var/run",
    "/var/spool",
    "/var/tmp",
    "/var/www",
    "/nix",
];

/// Names of block devices below `/dev`.
const DISKS: [&str; 14] =
    ["sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "nbd", "loop", "sr", "mapper/", "disk/", "mtdblock"];

/// Files and directories that decide who may do what, and what runs unattended.
const GUARDED: [&str; 18] = [
    "/proc/sysrq-trigger",
    "/boot",
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/group",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
];

/// Where a command stands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `None`: somewhere, after a `cd` whose target is not known.
    pub(crate) cwd: Option<&'a Path>,
    pub(crate) workspace: &'a Path,
    pub(crate) home: Option<&'a Path>,
    pub(crate) surroundings: &'a dyn Surroundings,
}

impl Place<'_> {
    /// The absolute path without `.`, `..` and doubled slashes.
    pub(crate) fn absolute(&self, text: &str) -> Option<PathBuf> {
        if text.is_empty() || text.contains([UNKNOWN, NUMBER]) {
            return None;
        }
        let path = Path::new(text);
        if path.is_absolute() { Some(lexical(path)) } else { Some(lexical(&self.cwd?.join(path))) }
    }

    /// The path, and what it really is where symbolic links lead elsewhere: all of them if `through`, else all but the last.
    fn readings(&self, text: &str, through: bool) -> Vec<PathBuf> {
        let Some(path) = self.absolute(text) else {
            return Vec::new();
        };
        let real =
            if through || is_followed(text) { self.surroundings.canonical(&path) } else { self.unfollowed(&path) };
        let mut readings = vec![path];
        readings.extend(real.filter(|real| *real != readings[0]));
        readings
    }

    /// The path without symbolic links but the last.
    fn unfollowed(&self, path: &Path) -> Option<PathBuf> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        self.surroundings.canonical(parent).map(|parent| parent.join(name))
    }

    /// Why losing everything below this argument is no clean-up.
    pub(crate) fn root(&self, arg: &Arg) -> Option<String> {
        if arg.glob {
            return self.glob_root(&arg.text);
        }
        let unknown = |c: char| c == UNKNOWN;
        if arg.text.trim_start_matches('/').chars().all(unknown)
            && arg.text.starts_with('/')
            && arg.text.ends_with(unknown)
        {
            return Some("what is directly below the root of the file system".into());
        }
        if arg.text.contains(UNKNOWN) && leaves(&arg.text) {
            return Some("a directory above one that is not known".into());
        }
        self.readings(&arg.text, false).iter().find_map(|path| {
            // A temporary directory that the command stands in is cleaned up by its whole path.
            let temporary = path.starts_with("/tmp") && Path::new(&arg.text).is_absolute();
            if self.cwd.is_some_and(|cwd| cwd.starts_with(path)) && !(temporary && self.named(path).is_none()) {
                return Some(self.named(path).unwrap_or_else(|| "the current directory or one above it".into()));
            }
            self.named(path)
        })
    }

    /// `/*`, `~/.*`, `*` in the workspace's root: everything in such a directory.
    fn glob_root(&self, text: &str) -> Option<String> {
        let extended = || EXTENDED.iter().filter_map(|sign| text.find(sign)).min();
        let first_glob = text.find(['*', '?', '[']).or_else(extended)?;
        let directory_end = text[..first_glob].rfind('/').map_or(0, |slash| slash + 1);
        let (directory, pattern) = text.split_at(directory_end);
        let directory = if directory.is_empty() { "." } else { directory };
        let pattern = pattern.trim_end_matches('/');
        if pattern.contains('/') {
            // `/*/x` is below something; `*/..` is not.
            return pattern.ends_with("/..").then(|| "a directory above".into());
        }
        if pattern == ".*" {
            return Some("`..`, which `.*` matches".into());
        }
        self.readings(directory, true).iter().find_map(|path| {
            if matches!(path.to_str(), Some("/tmp" | "/var/tmp")) {
                return None;
            }
            let named = self.named(path)?;
            (path == Path::new("/") || is_broad(pattern)).then(|| format!("everything in {named}"))
        })
    }

    /// The name of a directory that must not be wiped.
    fn named(&self, path: &Path) -> Option<String> {
        if path == Path::new("/") {
            return Some("the root of the file system".into());
        }
        if self.home.is_some_and(|home| home.starts_with(path)) {
            return Some("the home directory".into());
        }
        if self.workspace.starts_with(path) {
            return Some("the workspace".into());
        }
        if path.to_str().is_some_and(|text| SYSTEM.contains(&text)) || is_home_of_somebody(path) {
            return Some(format!("{}", path.display()));
        }
        self.surroundings.is_mount_point(path).then(|| format!("the mount point {}", path.display()))
    }

    /// Why nothing may be written there without a question.
    pub(crate) fn guarded(&self, arg: &Arg) -> Option<String> {
        let text = match arg.glob {
            true => &arg.text[..arg.text.find(['*', '?', '[']).unwrap_or(0)],
            false => arg.text.as_str(),
        };
        let path = self.absolute(text)?;
        let followed = self.surroundings.canonical(&path).filter(|real| *real != path);
        let unfollowed = if is_followed(text) { None } else { self.unfollowed(&path) };
        let unfollowed = unfollowed.filter(|real| *real != path);
        [Some(path), followed, unfollowed].into_iter().flatten().find_map(|path| {
            if self.is_disk(&path) {
                return Some(format!("the block device {}", path.display()));
            }
            is_guarded(path.as_os_str().as_bytes()).then(|| format!("{}", path.display()))
        })
    }

    pub(crate) fn is_disk(&self, path: &Path) -> bool {
        let Some(name) = path.to_str().and_then(|text| text.strip_prefix("/dev/")) else {
            return false;
        };
        DISKS.iter().any(|disk| name.starts_with(disk) && name.len() > disk.len())
            || self.surroundings.is_block_device(path)
    }
}

/// A path whose last component is followed where it is a symbolic link.
fn is_followed(text: &str) -> bool {
    text.ends_with('/') || text.ends_with("/.") || text.ends_with("..")
}

/// One of [`GUARDED`], or below one; the path is absolute and clean.
fn is_guarded(path: &[u8]) -> bool {
    let below =
        |guarded: &&str| path.strip_prefix(guarded.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
    GUARDED.iter().any(below)
}

/// Does a path that begins with what is not known end above it, and name nothing else?
fn leaves(text: &str) -> bool {
    let mut parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.next().is_some_and(|first| first.chars().all(|c| c == UNKNOWN)) && {
        let rest: Vec<&str> = parts.collect();
        rest.len() > 1 && rest.iter().all(|part| *part == "..")
    }
}

/// `/home/somebody`, `/Users/somebody`.
fn is_home_of_somebody(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent == Path::new("/home") || parent == Path::new("/Users"))
}

/// No letter or digit outside of brackets: matches nearly every name.
fn is_broad(pattern: &str) -> bool {
    // All but few.
    if pattern.starts_with("!(") {
        return true;
    }
    let mut in_brackets = false;
    pattern.chars().all(|c| {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            _ => {}
        }
        in_brackets || !c.is_alphanumeric()
    })
}
