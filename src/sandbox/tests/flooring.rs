use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, OFlags};

use super::*;
use crate::sys::{landlock, spawn};

/// Runs `attempts` below the floor alone; one answer each: did it succeed?
fn below(laid: &Laid, attempts: &[(Attempt, CString)]) -> Vec<bool> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let child = spawn::fork_with_pidfd(|| {
        let _ = rustix::thread::set_no_new_privs(true);
        if landlock::restrict_self(laid.as_fd()).is_ok() {
            for (attempt, path) in attempts {
                let _ = rustix::io::write(&writer, &[u8::from(attempt.succeeds(path))]);
            }
        }
        spawn::exit_now(0)
    });
    drop(writer);
    let mut answers = Vec::new();
    fs::File::from(reader).read_to_end(&mut answers).unwrap();
    let done = rustix::process::WaitIdOptions::EXITED;
    rustix::process::waitid(rustix::process::WaitId::PidFd(child.unwrap().pidfd.as_fd()), done).unwrap();
    assert_eq!(answers.len(), attempts.len());
    answers.into_iter().map(|answer| answer == 1).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Read,
    List,
    Write,
    Truncate,
    Create,
    MakeDirectory,
    Remove,
}

impl Attempt {
    fn succeeds(self, path: &CStr) -> bool {
        let open = |flags| rustix::fs::openat(CWD, path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o600)).is_ok();
        match self {
            Self::Read => open(OFlags::RDONLY),
            Self::List => open(OFlags::RDONLY | OFlags::DIRECTORY),
            Self::Write => open(OFlags::WRONLY),
            Self::Truncate => open(OFlags::WRONLY | OFlags::TRUNC),
            Self::Create => open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL),
            Self::MakeDirectory => rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o700)).is_ok(),
            Self::Remove => rustix::fs::unlinkat(CWD, path, rustix::fs::AtFlags::empty()).is_ok(),
        }
    }
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The deepest root or carve at or above the path decides.
fn silently_allowed(silent: &SilentYes, path: &Path) -> bool {
    let deepest =
        |marks: &[PathBuf]| marks.iter().filter(|mark| path.starts_with(mark)).map(|m| m.as_os_str().len()).max();
    deepest(&silent.roots) > deepest(&silent.carve)
}

/// A tree of directories (false), files (true) and symbolic links beside them.
fn trees() -> impl Strategy<Value = BTreeMap<String, bool>> {
    let name = prop::sample::select(vec!["a", "b", ".c", "d"]);
    let path = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    prop::collection::btree_map(path, any::<bool>(), 1..20)
}

fn marks() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec!["a", "b", ".c", "d", "new"]);
    let path = prop::collection::vec(name, 0..5).prop_map(|names| names.join("/"));
    prop::collection::vec(path, 0..5)
}

fn plant(base: &Path, tree: &BTreeMap<String, bool>) {
    for (path, file) in tree {
        let path = base.join(path);
        // A file in the way of a directory wins: whatever comes out is a tree.
        if *file {
            let _ = fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(&path, "x"));
        } else {
            let _ = fs::create_dir_all(&path);
        }
    }
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found);
        }
        found.push(path);
    }
}

fn silent_at(base: &Path, roots: &[String], carve: &[String]) -> SilentYes {
    let at = |paths: &[String]| -> Vec<PathBuf> {
        paths.iter().map(|path| if path.is_empty() { base.to_owned() } else { base.join(path) }).collect()
    };
    let carve = at(carve);
    // A path on both lists is a carve: nothing is both.
    SilentYes { roots: at(roots).into_iter().filter(|root| !carve.contains(root)).collect(), carve, patterned: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// I1: whatever opens below the floor alone, the policy allows silently; and the floor is not
    /// needlessly smaller: every file that may be read opens.
    #[test]
    fn the_floor_lets_through_what_is_silently_allowed_and_nothing_else(
        tree in trees(),
        links in prop::collection::vec((marks(), marks()), 0..3),
        (read_roots, read_carve) in (marks(), marks()),
        (write_roots, write_carve) in (marks(), marks()),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(directory.path()).unwrap();
        plant(&base, &tree);
        for (at, to) in links.iter().flat_map(|(at, to)| at.iter().zip(to)) {
            let _ = std::os::unix::fs::symlink(base.join(to), base.join(format!("{at}.link")));
        }
        let read = silent_at(&base, &read_roots, &read_carve);
        let write = silent_at(&base, &write_roots, &write_carve);
        let laid = Floor::lay(&read, &write, &Survey::default()).unwrap();

        let mut paths = vec![base.clone()];
        walk(&base, &mut paths);
        let mut attempts = Vec::new();
        for path in &paths {
            for attempt in [Attempt::Read, Attempt::List, Attempt::Write, Attempt::Truncate] {
                attempts.push((attempt, c(path)));
            }
        }
        let new = paths.iter().flat_map(|path| [path.join("new"), path.join("fresh")]);
        let carved = write.carve.iter().cloned();
        for path in new.chain(carved) {
            attempts.push((Attempt::Create, c(&path)));
            attempts.push((Attempt::Remove, c(&path)));
            attempts.push((Attempt::MakeDirectory, c(&path)));
        }
        // Where each path leads; behind a link to what an attempt makes, only afterwards.
        let leads = |path: &CString| {
            let path = Path::new(OsStr::from_bytes(path.to_bytes()));
            let behind = |_| Ok(fs::canonicalize(path.parent().unwrap())?.join(path.file_name().unwrap()));
            fs::canonicalize(path).or_else(behind).map_err(|_: std::io::Error| path.to_owned())
        };
        let before: Vec<_> = attempts.iter().map(|(_, path)| leads(path)).collect();
        let files: Vec<bool> = before.iter().map(|path| path.as_ref().is_ok_and(|path| path.is_file())).collect();
        let answers = below(&laid, &attempts);
        let after = |(before, (_, path)): (Result<_, _>, &(_, CString))| before.or_else(|_| leads(path)).unwrap_or_else(|path| path);
        let real: Vec<PathBuf> = before.into_iter().zip(&attempts).map(after).collect();
        for ((((attempt, path), real), file), answer) in attempts.iter().zip(&real).zip(files).zip(answers) {
            let silent = match attempt {
                Attempt::Read | Attempt::List => &read,
                _ => &write,
            };
            let allowed = silently_allowed(silent, real);
            if answer {
                prop_assert!(allowed, "{attempt:?} {path:?} ({real:?})\n{read:?}\n{write:?}");
            }
            if file && allowed && *attempt == Attempt::Read {
                prop_assert!(answer, "{attempt:?} {path:?} ({real:?})\n{read:?}\n{:?}", laid.floor.left_out());
            }
            // The table tells what the kernel was given.
            if *attempt == Attempt::Read && file {
                prop_assert_eq!(laid.floor.covers(real, Rights::READ).is_some(), answer, "{:?}", real);
            }
        }
    }
}

#[test]
fn the_deepest_rule_speaks_for_all() {
    let laid =
        Floor::lay(&silent(&["/usr"], &[]), &silent(&["/usr/lib", "/dev/null"], &[]), &Survey::default()).unwrap();
    let path =
        |path: &str, rights| laid.floor.covers(Path::new(path), rights).map(|ruled| ruled.path.to_str().unwrap());
    assert_eq!(path("/usr/bin/env", Rights::READ), Some("/usr"));
    assert_eq!(path("/usr", Rights::READ), Some("/usr"));
    assert_eq!(path("/usr/bin/env", Rights::WRITE), None);
    assert_eq!(path("/usr/lib/x", Rights::READ), Some("/usr/lib"));
    assert_eq!(path("/usr/lib/x/y", Rights::ALL), Some("/usr/lib"));
    assert_eq!(path("/usrs", Rights::READ), None);
    assert_eq!(path("/", Rights::READ), None);
    assert_eq!(path("/dev/null", Rights::WRITE), Some("/dev/null"));
    assert_eq!(path("/dev/null", Rights::CHANGE), None);
    assert_eq!(path("/dev/null", Rights::READ), None);
    let laid = Floor::lay(&silent(&["/"], &[]), &silent(&[], &[]), &Survey::default()).unwrap();
    assert!(laid.floor.covers(Path::new("/"), Rights::READ).is_some());
    assert!(laid.floor.covers(Path::new("/a/b"), Rights::READ).is_some());
}

#[test]
fn a_crowded_directory_is_granted_in_part_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(directory.path()).unwrap();
    for number in 0..300 {
        fs::write(base.join(format!("f{number:03}")), "x").unwrap();
    }
    fs::create_dir(base.join("z")).unwrap();
    fs::create_dir_all(base.join("deep/secret")).unwrap();
    fs::write(base.join("deep/plain"), "x").unwrap();
    let secret = base.join("deep/secret");
    let laid = Floor::lay(
        &silent(&[base.to_str().unwrap()], &[secret.to_str().unwrap()]),
        &silent(&[], &[]),
        &Survey::default(),
    )
    .unwrap();
    assert!(matches!(laid.floor.left_out(), [LeftOut::Crowded { count: 46, .. }]), "{:?}", laid.floor.left_out());
    let reads = |name: &str| below(&laid, &[(Attempt::Read, c(&base.join(name)))])[0];
    // Directories first, and those that lead on before them.
    assert!(reads("deep/plain") && reads("z") && reads("f000") && !reads("f299") && !reads("deep/secret"));
}

#[test]
fn a_bind_mounted_name_of_something_denied_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(directory.path()).unwrap();
    fs::create_dir(base.join("real")).unwrap();
    // A hard link stands for the mount: one inode, two names, one of them denied.
    fs::write(base.join("real/key"), "x").unwrap();
    fs::hard_link(base.join("real/key"), base.join("key")).unwrap();
    let root = base.join("real/key");
    let read = silent(&[root.to_str().unwrap()], &[base.join("key").to_str().unwrap()]);
    let laid = Floor::lay(&read, &silent(&[], &[]), &Survey::default()).unwrap();
    assert!(matches!(laid.floor.left_out(), [LeftOut::Alias { path }] if *path == root), "{:?}", laid.floor.left_out());
    assert_eq!(below(&laid, &[(Attempt::Read, c(&base.join("key")))]), [false]);
}

#[test]
fn a_root_that_is_a_link_is_reported_and_not_followed_and_an_absent_one_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(directory.path()).unwrap();
    fs::write(base.join("file"), "x").unwrap();
    std::os::unix::fs::symlink(base.join("file"), base.join("link")).unwrap();
    let lay = |name: &str| {
        Floor::lay(&silent(&[base.join(name).to_str().unwrap()], &[]), &silent(&[], &[]), &Survey::default()).unwrap()
    };
    let laid = lay("link");
    match laid.floor.left_out() {
        [LeftOut::Open { source, .. }] => assert_eq!(source.raw_os_error(), Some(libc::ELOOP)),
        other => panic!("{other:?}"),
    }
    assert_eq!(below(&laid, &[(Attempt::Read, c(&base.join("file")))]), [false]);
    assert!(lay("absent").floor.left_out().is_empty());
}

#[test]
fn older_kernels_get_what_they_know_and_too_old_ones_nothing() {
    let read = silent(&["/usr"], &[]);
    for abi in 3..=7 {
        let ground = Groundwork::with_abi(abi).unwrap();
        assert_eq!(ground.scopes_signals(), abi >= 6);
        let plan = FloorPlan::new((&read, &silent(&["/dev/null"], &[])), &Survey::default(), None);
        let laid = Arc::new(ground).lay(plan);
        assert_eq!(laid.floor.abi(), abi);
        assert_eq!(
            below(
                &laid,
                &[(Attempt::Read, c(Path::new("/usr/bin/env"))), (Attempt::Read, c(Path::new("/etc/passwd")))]
            ),
            [true, false]
        );
    }
    assert_eq!(Groundwork::with_abi(99).unwrap().abi(), 7);
    for found in [0, 1, 2] {
        assert!(matches!(Groundwork::with_abi(found), Err(FloorError::TooOld { .. })));
    }
}

/// Between its making and its rule somebody else could have put another's inode in the run's place.
#[test]
fn what_takes_the_place_of_the_runs_own_directory_is_not_granted_where_it_is_denied() {
    let place = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(place.path()).unwrap();
    let (key, temporary) = (base.join("key"), base.join("own"));
    fs::write(&key, "x").unwrap();
    let read = silent(&[base.to_str().unwrap()], &[key.to_str().unwrap()]);
    let directories = Directories { temporary: temporary.clone(), nursery: None };
    for denied in [false, true] {
        if denied {
            fs::hard_link(&key, &temporary).unwrap();
        } else {
            fs::write(&temporary, "x").unwrap();
        }
        let plan = FloorPlan::new((&read, &silent(&[], &[])), &Survey::default(), Some(&directories));
        let laid = Arc::new(Groundwork::new().unwrap()).lay(plan);
        assert_eq!(below(&laid, &[(Attempt::Read, c(&temporary))]), [!denied]);
        assert_eq!(laid.floor.covers(&temporary, Rights::READ).is_some_and(|ruled| ruled.path == temporary), !denied);
        let left_out = laid.floor.left_out();
        assert_eq!(matches!(left_out, [LeftOut::Alias { path }] if *path == temporary), denied, "{left_out:?}");
        fs::remove_file(&temporary).unwrap();
    }
}
