//! How a floor is laid: its rules are bound to the inodes that their paths lead to, by whoever has the time.
//!
//! Follows no link on the way to a rule, and binds none to what is denied under another name.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landlock::{ABI, AccessFs};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::process::{Resource, getrlimit};

use super::floor::Floor;
use super::ground::{FloorError, Groundwork, as_abi};
use super::nursery::Nursery;
use super::plan::{Denied, FloorPlan, LeftOut};
use super::rights::Rights;
use super::split::Key;
use super::survey::Survey;
use super::table::{Ruled, Table};
use crate::policy::SilentYes;
use crate::sys;

/// A floor, and what it was laid with.
#[derive(Debug)]
pub struct Laid {
    pub floor: Floor,
    pub scaffold: Scaffold,
}

/// What the floor was laid with. Taking it down is work for a moment when nobody waits: a ruleset with a hundred rules
/// takes the kernel 30 microseconds, the descriptors of their paths 70.
#[derive(Debug)]
pub struct Scaffold {
    ground: Arc<Groundwork>,
    _opened: Vec<OwnedFd>,
}

/// What a process stands on it with.
impl AsFd for Laid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.scaffold.ground.as_fd()
    }
}

impl Groundwork {
    /// Binds what is planned, alone.
    pub fn lay(self: Arc<Self>, plan: FloorPlan) -> Laid {
        let laying = Laying::new(self, plan);
        let bound = laying.bind();
        laying.finish([bound], None)
    }
}

impl Floor {
    /// Lays a floor where nothing is made for the run.
    pub fn lay(read: &SilentYes, write: &SilentYes, survey: &Survey) -> Result<Laid, FloorError> {
        Ok(Arc::new(Groundwork::new()?).lay(FloorPlan::new((read, write), survey, None)))
    }
}

/// A floor whose rules are being bound, by whoever has the time.
#[derive(Debug)]
pub struct Laying {
    ground: Arc<Groundwork>,
    rules: Vec<(Key, Rights)>,
    denied: Denied,
    left_out: Vec<LeftOut>,
    patterned: bool,
    /// The first rule that nobody has taken.
    next: AtomicUsize,
    /// There are descriptors to spare.
    may_leave_open: bool,
}

/// What one of them has bound.
#[derive(Debug, Default)]
pub struct Bound {
    /// Each rule by its place among all.
    rules: Vec<(usize, Result<Ruled, LeftOut>)>,
    opened: Vec<OwnedFd>,
}

/// Descriptors below this are left open where this process may have so many more: there are always some to spare.
const LEFT_OPEN: RawFd = 384;
const PLENTY: u64 = 512;

impl Laying {
    pub fn new(ground: Arc<Groundwork>, plan: FloorPlan) -> Self {
        let FloorPlan { rules, denied, left_out, patterned } = plan;
        let descriptors = getrlimit(Resource::Nofile).current;
        Self {
            ground,
            rules: rules.into_iter().collect(),
            denied,
            left_out,
            patterned,
            next: AtomicUsize::new(0),
            may_leave_open: descriptors.is_none_or(|most| most >= PLENTY),
        }
    }

    /// Binds rules until there are no more.
    pub fn bind(&self) -> Bound {
        let mut bound = Bound::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((key, rights)) = self.rules.get(index) else { return bound };
            let ground = (&self.ground.ruleset, as_abi(self.ground.abi()));
            match bind(ground, &self.denied, key.path(), *rights) {
                Ok(Some((ruled, fd))) => {
                    if self.may_leave_open && fd.as_raw_fd() < LEFT_OPEN {
                        bound.opened.push(fd);
                    }
                    bound.rules.push((index, Ok(ruled)));
                }
                Ok(None) => {}
                Err(left) => bound.rules.push((index, Err(left))),
            }
        }
    }

    /// What all of them have bound is the floor.
    pub fn finish(self, bound: impl IntoIterator<Item = Bound>, nursery: Option<Nursery>) -> Laid {
        let Self { ground, mut left_out, patterned, .. } = self;
        let (mut all, mut opened) = (Vec::with_capacity(self.rules.len()), Vec::new());
        for bound in bound {
            all.extend(bound.rules);
            opened.extend(bound.opened);
        }
        all.sort_unstable_by_key(|(index, _)| *index);
        let mut rules = Vec::with_capacity(all.len());
        for (_, bound) in all {
            match bound {
                Ok(bound) => rules.push(bound),
                Err(left) => left_out.push(left),
            }
        }
        let floor = Floor { abi: ground.abi(), table: Table::new(rules), left_out, nursery, patterned };
        Laid { floor, scaffold: Scaffold { ground, _opened: opened } }
    }
}

/// An opened rule path.
struct Opened {
    fd: OwnedFd,
    rights: Rights,
    directory: bool,
}

impl Opened {
    fn bind(&self, ruleset: &OwnedFd, abi: ABI) -> io::Result<()> {
        let mut access = self.rights.to_access(abi);
        if !self.directory {
            access &= !AccessFs::ReadDir;
        }
        sys::landlock::add_rule_beneath(ruleset.as_fd(), self.fd.as_fd(), access.bits())
    }
}

/// Opens a rule's path as it is written, without following any link, and notes the inode.
fn open_rule(path: &Path, rights: Rights) -> io::Result<(Opened, Ruled)> {
    let fd = open_real(path)?;
    let stat = rustix::fs::fstat(&fd)?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let rights = if directory { rights } else { rights.of_a_file() };
    let ruled = Ruled { path: path.to_owned(), rights, dev: stat.st_dev, ino: stat.st_ino };
    Ok((Opened { fd, rights, directory }, ruled))
}

fn open_real(path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let fd = rustix::fs::openat2(rustix::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    Ok(fd)
}

/// Binds one rule; none where there is nothing to grant: what is made there later is brokered.
fn bind(
    (ruleset, abi): (&OwnedFd, ABI),
    denied: &Denied,
    path: PathBuf,
    rights: Rights,
) -> Result<Option<(Ruled, OwnedFd)>, LeftOut> {
    match open_rule(&path, rights) {
        Ok((_, ruled)) if denied_elsewhere(&ruled, denied) => Err(LeftOut::Alias { path }),
        Ok((_, ruled)) if ruled.rights.is_empty() => Ok(None),
        Ok((rule, ruled)) => match rule.bind(ruleset, abi) {
            Ok(()) => Ok(Some((ruled, rule.fd))),
            Err(source) => Err(LeftOut::Bind { path, source }),
        },
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(source) => Err(LeftOut::Open { path, source }),
    }
}

fn denied_elsewhere(ruled: &Ruled, denied: &Denied) -> bool {
    let inode = (ruled.dev, ruled.ino);
    denied.iter().any(|(denied, rights)| ruled.rights.intersects(*rights) && denied.contains(&inode))
}
