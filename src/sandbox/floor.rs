//! The floor: the Landlock ruleset that grants what the policy silently allows, and nothing else.
//!
//! Owns a table of what went into it, and until the command has it the ruleset's descriptor. It holds in
//! the kernel with nobody's help; everything above it is brokered. It never grants a path that a carve covers, and
//! it refuses to exist on a kernel that cannot hold it.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::directories::Directories;
use super::nursery::Nursery;
use super::rights::Rights;
use super::split::{self, Key, Marks};
use super::survey::Survey;
use super::table::{Ruled, Table};
use crate::policy::SilentYes;
use crate::sys;

/// The oldest Landlock ABI that can hold the floor: the first with truncation.
pub const LEAST_ABI: u32 = 3;
/// The newest Landlock ABI whose rights this release handles.
pub const NEWEST_ABI: u32 = 7;

/// Why the floor could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// No Landlock, or one that lets `truncate` through.
    #[error("find Landlock ABI {LEAST_ABI} in this kernel (it has {found})")]
    TooOld { found: u32 },
    #[error("make the Landlock ruleset")]
    Ruleset(#[from] landlock::RulesetError),
    /// The ruleset was made without a descriptor.
    #[error("make the Landlock ruleset: the kernel gave no descriptor")]
    NoDescriptor,
}

/// A path that the policy allows and the floor does not: its accesses are brokered.
#[derive(Debug, thiserror::Error)]
pub enum LeftOut {
    /// A directory or file that a rule names could not be opened.
    #[error("open rule path {path}")]
    Open { path: PathBuf, source: io::Error },
    /// A directory that has to be split could not be listed.
    #[error("list {path}, which holds something denied")]
    List { path: PathBuf, source: io::Error },
    /// The kernel refused the rule.
    #[error("bind a rule to {path}")]
    Bind { path: PathBuf, source: io::Error },
    /// More children than are granted one by one.
    #[error("grant {count} of the entries of {path}, which holds something denied")]
    Crowded { path: PathBuf, count: usize },
    /// The same file or directory is denied under another name (a bind mount).
    #[error("grant {path}, which is denied under another name")]
    Alias { path: PathBuf },
}

/// A ruleset that handles every right and grants none yet. A command can be forked with it, while its rules are bound.
#[derive(Debug)]
pub struct Groundwork {
    ruleset: OwnedFd,
    abi: u32,
}

/// What was given to Landlock.
#[derive(Debug)]
pub struct Floor {
    abi: u32,
    table: Table,
    left_out: Vec<LeftOut>,
    nursery: Option<Nursery>,
    patterned: bool,
}

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

/// The inodes that are denied under whatever name, and to what.
type Denied = [(HashSet<(u64, u64)>, Rights); 2];

impl Groundwork {
    pub fn new() -> Result<Self, FloorError> {
        Self::with_abi(sys::landlock::abi())
    }

    /// With the rights of an older ABI than the kernel's.
    pub(super) fn with_abi(found: u32) -> Result<Self, FloorError> {
        if found < LEAST_ABI {
            return Err(FloorError::TooOld { found });
        }
        let abi = found.min(NEWEST_ABI);
        Ok(Self { ruleset: handled(as_abi(abi))?, abi })
    }

    /// The Landlock ABI whose rights the ruleset handles.
    pub fn abi(&self) -> u32 {
        self.abi
    }

    /// Does the kernel keep signals inside by itself?
    pub fn scopes_signals(&self) -> bool {
        self.abi >= 6
    }

    /// Binds what is planned, alone.
    pub fn lay(self: Arc<Self>, plan: FloorPlan) -> Laid {
        let laying = Laying::new(self, plan);
        let bound = laying.bind();
        laying.finish([bound], None)
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
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
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
            let ground = (&self.ground.ruleset, as_abi(self.ground.abi));
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
        let floor = Floor { abi: ground.abi, table: Table::new(rules), left_out, nursery, patterned };
        Laid { floor, scaffold: Scaffold { ground, _opened: opened } }
    }
}

/// The rules that a floor will have.
#[derive(Debug)]
pub struct FloorPlan {
    rules: BTreeMap<Key, Rights>,
    denied: Denied,
    left_out: Vec<LeftOut>,
    patterned: bool,
}

impl FloorPlan {
    /// The rules for reading (and executing) and for writing, and those for the run's own directories, which need not
    /// be there yet. What waits in the nursery can be read and executed wherever it is moved.
    pub fn new((read, write): (&SilentYes, &SilentYes), survey: &Survey, directories: Option<&Directories>) -> Self {
        let mut left_out = Vec::new();
        let mut rules = BTreeMap::new();
        let marks =
            [(Marks::new(read, survey), Rights::READ), (Marks::new(write, survey), Rights::WRITE | Rights::CHANGE)];
        for (marks, rights) in &marks {
            for key in plan(marks, survey, &mut left_out) {
                *rules.entry(key).or_insert(Rights::NONE) |= *rights;
            }
            // A split directory is granted by what it held when it was surveyed.
            let temporary = directories.map(|directories| Key::of(&directories.temporary));
            if let Some(key) = temporary.filter(|key| marks.grants(key)) {
                *rules.entry(key).or_insert(Rights::NONE) |= *rights;
            }
        }
        inherit(&mut rules);
        // Bound alone, whatever is granted where they wait: they leave.
        let waiting = directories.and_then(|directories| directories.nursery.as_deref());
        let newborn = waiting.into_iter().flat_map(Nursery::everyone);
        rules.extend(newborn.map(|path| (Key::of(&path), Rights::READ)));
        let denied = marks.map(|(marks, rights)| (marks.into_carved(), rights));
        Self { rules, denied, left_out, patterned: read.patterned }
    }
}

impl AsFd for Groundwork {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ruleset.as_fd()
    }
}

fn as_abi(number: u32) -> ABI {
    ABI::from(i32::try_from(number).unwrap_or(0))
}

impl Floor {
    /// Lays a floor where nothing is made for the run.
    pub fn lay(read: &SilentYes, write: &SilentYes, survey: &Survey) -> Result<Laid, FloorError> {
        Ok(Arc::new(Groundwork::new()?).lay(FloorPlan::new((read, write), survey, None)))
    }

    /// Was the tree searched for what patterns deny to readers? They speak of later names too, which the
    /// floor may cover.
    pub fn is_patterned(&self) -> bool {
        self.patterned
    }

    /// Where new names in split directories come from.
    pub fn nursery(&self) -> Option<&Nursery> {
        self.nursery.as_ref()
    }

    /// The deepest rule at or above `path`, if the floor grants all of `rights` there.
    ///
    /// The kernel binds a rule to an inode, not to a path: before relying on it, check that
    /// `Ruled::path` still is `Ruled::{dev, ino}`. `path` is real: no symbolic link, no `..`.
    pub fn covers(&self, path: &Path, rights: Rights) -> Option<&Ruled> {
        self.table.deepest(path).filter(|ruled| ruled.rights.contains(rights))
    }

    /// Every rule, in the order of paths.
    pub fn rules(&self) -> &[Ruled] {
        self.table.rules()
    }

    /// The Landlock ABI whose rights the ruleset handles.
    pub fn abi(&self) -> u32 {
        self.abi
    }

    /// What the policy allows and the floor had to leave to the broker.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

/// What a process stands on it with.
impl AsFd for Laid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.scaffold.ground.as_fd()
    }
}

fn plan(marks: &Marks, survey: &Survey, left_out: &mut Vec<LeftOut>) -> Vec<Key> {
    let split = split::split(marks, survey);
    left_out.extend(split.unlisted.into_iter().map(|(path, source)| LeftOut::List { path, source }));
    left_out.extend(split.crowded.into_iter().map(|(path, count)| LeftOut::Crowded { path, count }));
    split.granted
}

/// Gives each rule what its ancestors grant too, so that the deepest one speaks for all.
fn inherit(planned: &mut BTreeMap<Key, Rights>) {
    let mut above: Vec<(&Key, Rights)> = Vec::new();
    for (key, rights) in planned {
        while above.last().is_some_and(|(ancestor, _)| !key.is_beneath(ancestor)) {
            above.pop();
        }
        if let Some((_, inherited)) = above.last() {
            *rights |= *inherited;
        }
        above.push((key, *rights));
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

/// A ruleset that handles every right of `abi`: what no rule grants is denied.
fn handled(abi: ABI) -> Result<OwnedFd, FloorError> {
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    }
    Option::<OwnedFd>::from(ruleset.create()?).ok_or(FloorError::NoDescriptor)
}
