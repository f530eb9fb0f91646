//! Finds the program that a command names, as `execvp` does, before anything is forked.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType};

use super::launch::LaunchError;

/// Directories searched where `PATH` is not set; the C library's default.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that `argv0` means for a process in `cwd` with this `PATH`. A word with a slash is
/// only itself. `man 3 exec`.
pub fn resolve_program(argv0: &OsStr, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, LaunchError> {
    let not_found = || LaunchError::NotFound { program: PathBuf::from(argv0) };
    if argv0.is_empty() {
        return Err(not_found());
    }
    if argv0.as_bytes().contains(&b'/') {
        let program = PathBuf::from(argv0);
        return match executable(&cwd.join(&program)) {
            Ok(()) => Ok(program),
            Err(error) => Err(failure(program, error)),
        };
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry is the current directory.
        let directory = if directory.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(directory)) };
        let candidate = directory.join(argv0);
        match executable(&cwd.join(&candidate)) {
            Ok(()) => return Ok(candidate),
            // Another directory may hold one that is executable; else this is the reason.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                refused.get_or_insert(LaunchError::Execute { path: candidate, source: error });
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

fn failure(path: PathBuf, source: io::Error) -> LaunchError {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => LaunchError::NotFound { program: path },
        _ => LaunchError::Execute { path, source },
    }
}

/// `EACCES` for a directory and for a file without the mode bit, as `execve` says.
fn executable(path: &Path) -> io::Result<()> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    rustix::fs::accessat(rustix::fs::CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_found_as_execvp_finds_them() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (bin, file, mode) in [("a", "run", 0o644), ("b", "run", 0o755), ("a", "only", 0o644), ("a", "first", 0o755)]
        {
            fs::create_dir_all(at(bin)).unwrap();
            fs::write(at(bin).join(file), "").unwrap();
            fs::set_permissions(at(bin).join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(at("a/directory")).unwrap();
        let path = std::env::join_paths([at("none"), at("a"), at("b")]).unwrap();
        let find = |name: &str| resolve_program(OsStr::new(name), Some(&path), directory.path());
        assert_eq!(find("run").unwrap(), at("b/run"));
        assert_eq!(find("first").unwrap(), at("a/first"));
        assert_eq!(find("a/first").unwrap(), Path::new("a/first"));
        assert_eq!(find(at("a/first").to_str().unwrap()).unwrap(), at("a/first"));
        for refused in ["only", "directory", "a/only", "a/directory", "/"] {
            assert!(matches!(find(refused), Err(LaunchError::Execute { .. })), "{refused}");
        }
        for absent in ["absent", "a/absent", "a/first/x", ""] {
            assert!(matches!(find(absent), Err(LaunchError::NotFound { .. })), "{absent}");
        }
        let relative = resolve_program(OsStr::new("first"), Some(OsStr::new("a")), directory.path()).unwrap();
        assert_eq!(relative, Path::new("a/first"));
        let empty_entry = resolve_program(OsStr::new("first"), Some(OsStr::new(":")), &at("a")).unwrap();
        assert_eq!(empty_entry, Path::new("./first"));
        assert!(resolve_program(OsStr::new("sh"), None, Path::new("/")).is_ok());
    }
}
