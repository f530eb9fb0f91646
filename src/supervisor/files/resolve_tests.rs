//! Our resolution against the kernel's, on generated trees: same object, or same errno.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::Stat;

use super::errno::Errno;
use super::held::{Held, Named};
use super::resolve::{Landing, Last, Origin, Viewer, flag_bits, object, resolve, walk};
use crate::sys::files::{self, OpenHow};

/// This very process, which makes `/proc/self` mean the same to the kernel and to us.
struct Myself;

impl Viewer for Myself {
    fn tid(&self) -> i32 {
        rustix::thread::gettid().as_raw_nonzero().get()
    }

    fn tgid(&self) -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    fn in_run(&self, pid: i32) -> bool {
        pid == self.tgid() || pid == self.tid()
    }

    fn descriptor(&self, number: i32) -> Option<OwnedFd> {
        let path = format!("/proc/self/fd/{number}");
        let mine = fs::metadata(path).ok()?;
        fs::File::open("/dev/null").ok().filter(|_| mine.is_dir()).map(OwnedFd::from)
    }
}

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File,
    Link(String),
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b", "c", "d"][..])
}

fn component() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b", "c", "d", "..", ".", "", "a", "b", "missing"][..])
}

/// Spellings with every kind of slash and dot; `ROOT` stands for the tree's absolute path.
fn spelling() -> impl Strategy<Value = String> {
    let start =
        prop::sample::select(&["", "", "", "ROOT/", "/proc/self/root/ROOT/", "/proc/thread-self/cwd/", "/"][..]);
    (start, prop::collection::vec(component(), 1..6), any::<bool>())
        .prop_map(|(start, words, slash)| format!("{start}{}{}", words.join("/"), if slash { "/" } else { "" }))
}

fn node() -> impl Strategy<Value = (Vec<&'static str>, Node)> {
    let kind = prop_oneof![
        3 => Just(Node::Directory),
        2 => Just(Node::File),
        4 => spelling().prop_map(Node::Link),
    ];
    (prop::collection::vec(name(), 1..4), kind)
}

fn flags() -> impl Strategy<Value = u64> {
    prop::sample::select(
        &[
            0,
            0,
            0,
            libc::RESOLVE_BENEATH,
            libc::RESOLVE_IN_ROOT,
            libc::RESOLVE_NO_SYMLINKS,
            libc::RESOLVE_NO_MAGICLINKS,
            libc::RESOLVE_NO_XDEV,
            libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV,
        ][..],
    )
}

fn build(root: &Path, nodes: &[(Vec<&'static str>, Node)]) {
    for (words, node) in nodes {
        let mut ancestors = words[..words.len() - 1].iter().scan(root.to_owned(), |path, word| {
            path.push(word);
            Some(path.clone())
        });
        // Beneath a link lies something else than this tree.
        if ancestors.any(|path| path.is_symlink()) {
            continue;
        }
        let path = words.iter().fold(root.to_owned(), |path, word| path.join(word));
        let Some(parent) = path.parent() else { continue };
        let _ = fs::create_dir_all(parent);
        // A name taken by an earlier node stays as it is: then this tree has one node less.
        let _ = match node {
            Node::Directory => fs::create_dir(&path),
            Node::File => fs::File::create_new(&path).map(drop),
            Node::Link(target) => std::os::unix::fs::symlink(at_root(target, root), &path),
        };
    }
}

fn at_root(text: &str, root: &Path) -> String {
    text.replace("ROOT", root.to_str().unwrap())
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// What a scoped resolution says when nothing is renamed or mounted meanwhile: the kernel answers `EAGAIN` to `..`
/// beneath `RESOLVE_BENEATH` after any rename or mount on the whole machine, other tests' included.
fn undisturbed(mut attempt: impl FnMut() -> Result<(u64, u64), i32>) -> Result<(u64, u64), i32> {
    for _ in 0..10_000 {
        match attempt() {
            Err(libc::EAGAIN) => std::thread::yield_now(),
            settled => return settled,
        }
    }
    Err(libc::EAGAIN)
}

fn by_kernel(base: &OwnedFd, path: &CString, last: Last, resolve: u64) -> Result<(u64, u64), i32> {
    undisturbed(|| opened_by_kernel(base, path, last, resolve))
}

fn opened_by_kernel(base: &OwnedFd, path: &CString, last: Last, resolve: u64) -> Result<(u64, u64), i32> {
    let nofollow = if last == Last::Keep { libc::O_NOFOLLOW } else { 0 };
    let how = OpenHow { flags: flag_bits(libc::O_PATH | libc::O_CLOEXEC | nofollow), mode: 0, resolve };
    let fd = files::openat2(base.as_fd(), path, &how).map_err(|error| error.raw_os_error().unwrap())?;
    Ok(identity(&rustix::fs::fstat(fd).unwrap()))
}

fn found(landing: Result<Landing, Errno>) -> Result<(u64, u64), i32> {
    match landing {
        Ok(Landing::Object(held)) => Ok(identity(&held.stat)),
        Ok(Landing::Missing(_)) => Err(libc::ENOENT),
        Err(Errno(errno)) => Err(errno),
    }
}

fn directory(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

/// Magic links in trees lead through this process's working directory, which tests do not change.
fn origin(base: &OwnedFd, resolve: u64) -> Origin {
    Origin { base: Some(base.try_clone().unwrap()), resolve }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_path_leads_where_the_kernel_leads(
        nodes in prop::collection::vec(node(), 1..14),
        paths in prop::collection::vec((spelling(), flags(), any::<bool>()), 1..24),
    ) {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().canonicalize().unwrap().join("top");
        fs::create_dir(&root).unwrap();
        build(&root, &nodes);
        let base = directory(&root);
        for (text, resolve_flags, keep) in paths {
            let path = CString::new(at_root(&text, &root)).unwrap();
            let last = if keep { Last::Keep } else { Last::Follow };
            if path.is_empty() {
                continue;
            }
            let kernel = by_kernel(&base, &path, last, resolve_flags);
            let whole = undisturbed(|| found(resolve(&Myself, &origin(&base, resolve_flags), &path, last)));
            prop_assert_eq!(whole, kernel, "resolve {:?} {:#x} {:?}", path, resolve_flags, last);
            let walked = undisturbed(|| found(walk(&Myself, &origin(&base, resolve_flags), &path, last)));
            prop_assert_eq!(walked, kernel, "walk {:?} {:#x} {:?}", path, resolve_flags, last);
        }
    }

    #[test]
    fn a_missing_name_is_where_the_kernel_would_make_it(
        nodes in prop::collection::vec(node(), 1..14),
        paths in prop::collection::vec((spelling(), any::<bool>()), 1..16),
    ) {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().canonicalize().unwrap().join("top");
        fs::create_dir(&root).unwrap();
        build(&root, &nodes);
        let base = directory(&root);
        for (text, exclusive) in paths {
            let path = CString::new(at_root(&text, &root)).unwrap();
            if path.is_empty() {
                continue;
            }
            let (last, excl) = if exclusive { (Last::KeepOrMissing, libc::O_EXCL) } else { (Last::FollowOrMissing, 0) };
            let ours = resolve(&Myself, &origin(&base, 0), &path, last);
            // Outside the tree nothing is made.
            if let Ok(Landing::Missing(entry)) = &ours
                && !matches!(entry.parent.named(), Ok(Named::Path(path)) if path.starts_with(&root))
            {
                continue;
            }
            let how = OpenHow {
                flags: flag_bits(libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC | excl),
                mode: 0o600,
                resolve: 0,
            };
            let kernel = files::openat2(base.as_fd(), &path, &how);
            match (ours, kernel) {
                (Ok(Landing::Missing(entry)), Ok(made)) => {
                    let there = rustix::fs::statat(&entry.parent.fd, &entry.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
                    prop_assert_eq!(identity(&there), identity(&rustix::fs::fstat(made).unwrap()), "{:?}", path);
                    rustix::fs::unlinkat(&entry.parent.fd, &entry.name, rustix::fs::AtFlags::empty()).unwrap();
                }
                (Ok(Landing::Object(held)), Ok(made)) => prop_assert!(held.is(&rustix::fs::fstat(made).unwrap()), "{:?}", path),
                (Ok(Landing::Object(held)), Err(error)) => {
                    let expected = if exclusive { libc::EEXIST } else { libc::EISDIR };
                    prop_assert!(exclusive || held.is_directory());
                    prop_assert_eq!(error.raw_os_error(), Some(expected), "{:?}", path);
                }
                (Err(Errno(errno)), Err(error)) => prop_assert_eq!(error.raw_os_error(), Some(errno), "{:?}", path),
                (ours, kernel) => prop_assert!(false, "{path:?}: {ours:?}, kernel {kernel:?}"),
            }
        }
    }
}

#[test]
fn forty_links_are_followed_and_one_more_is_not() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("0"), "x").unwrap();
    for n in 1..=41 {
        std::os::unix::fs::symlink((n - 1).to_string(), tree.path().join(n.to_string())).unwrap();
    }
    let base = directory(tree.path());
    for n in [39, 40, 41] {
        let path = CString::new(n.to_string()).unwrap();
        let ours = found(walk(&Myself, &origin(&base, 0), &path, Last::Follow));
        assert_eq!(ours, by_kernel(&base, &path, Last::Follow, 0), "{n}");
    }
}

#[test]
fn links_of_processes_outside_are_not_followed() {
    let root = Origin { base: None, resolve: 0 };
    for link in ["/proc/1/root", "/proc/1/cwd/x", "/proc/1/exe", "/proc/1/fd/0", "/proc/1/task/1/root/etc"] {
        let path = CString::new(link).unwrap();
        let refused = object(&Myself, &root, &path, Last::Follow).unwrap_err();
        assert_eq!(refused, Errno(libc::EACCES), "{link}");
    }
}

#[test]
fn proc_self_is_the_callers() {
    struct Other(i32);
    impl Viewer for Other {
        fn tid(&self) -> i32 {
            self.0
        }
        fn tgid(&self) -> i32 {
            self.0
        }
        fn in_run(&self, pid: i32) -> bool {
            pid == self.0
        }
        fn descriptor(&self, _: i32) -> Option<OwnedFd> {
            None
        }
    }
    let mut child = std::process::Command::new("sleep").arg("60").current_dir("/usr").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let root = Origin { base: None, resolve: 0 };
    for (spelled, expected) in [
        ("/proc/self/cwd", "/usr".to_owned()),
        ("/proc/thread-self/cwd", "/usr".to_owned()),
        ("/proc/self/status", format!("/proc/{pid}/status")),
        ("/proc/self/../self/task/../status", format!("/proc/{pid}/status")),
        ("/proc/mounts", format!("/proc/{pid}/mounts")),
        ("/dev/fd/../status", format!("/proc/{pid}/status")),
    ] {
        let held = object(&Other(pid), &root, &CString::new(spelled).unwrap(), Last::Follow).unwrap();
        assert_eq!(held.named().unwrap(), Named::Path(expected.into()), "{spelled}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_held_object_is_named_as_it_stands_now() {
    let tree = tempfile::tempdir().unwrap();
    let top = tree.path().canonicalize().unwrap();
    let first = top.join("first (deleted)");
    fs::write(&first, "x").unwrap();
    let held = Held::new(fs::File::open(&first).unwrap().into()).unwrap();
    assert_eq!(held.named().unwrap(), Named::Path(first.clone()));
    let second = top.join("second");
    fs::rename(&first, &second).unwrap();
    assert_eq!(held.named().unwrap(), Named::Path(second.clone()));
    fs::hard_link(&second, top.join("third")).unwrap();
    fs::remove_file(&second).unwrap();
    let held = Held::new(held.fd).unwrap();
    assert_eq!(held.named().unwrap(), Named::Path(second));
    fs::remove_file(top.join("third")).unwrap();
    let held = Held::new(held.fd).unwrap();
    assert_eq!(held.named().unwrap(), Named::Unlinked);
    let (pipe, _other) = rustix::pipe::pipe().unwrap();
    assert_eq!(Held::new(pipe).unwrap().named().unwrap(), Named::Nameless);
}

#[test]
fn an_own_descriptor_is_reached_through_proc() {
    let tree = tempfile::tempdir().unwrap();
    let file = fs::File::create(tree.path().join(std::ffi::OsStr::from_bytes(b"file"))).unwrap();
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let root = Origin { base: None, resolve: 0 };
    let held = object(&Myself, &root, &path, Last::Follow).unwrap();
    assert!(held.is(&rustix::fs::fstat(&file).unwrap()));
    // `Myself` hands out another file than the one named, which is not taken for it.
    assert!(held.passed.is_none());
}
