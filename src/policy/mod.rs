//! The compiled lists: pure answers to "may this access happen".
//!
//! Owns rule patterns, precedence and specificity. Does no I/O: what happened during the run is
//! asked of [`Facts`].

pub mod access;
pub mod addresses;
mod any_depth;
mod components;
mod glob;
mod grants;
mod hosts;
mod links;
mod lists;
mod paths;
mod pattern;
mod sockets;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use access::{Access, Change, Host, Operation, Target, UnixName};
pub use components::{ByPath, as_path, key, lexical};
pub use grants::Grant;
pub use lists::{CompileError, Effect};
pub use verdict::{Answer, Denial, Permit, Place, Question, Reason, Rule, Scope, Verdict};

use crate::journal::Finality;
use crate::settings::{Layer, List, Sandbox};
use hosts::HostLists;
use links::Links;
use lists::Ruling;
use paths::PathLists;
use sockets::SocketLists;

/// What the run itself made, which the lists speak of.
pub trait Facts {
    /// `top` is a direct child of a shared temporary directory: did this run create it?
    fn entry_born_in_run(&self, top: &Path) -> bool;
    /// `git_dir` is a repository's directory (`…/.git`): did this run create it?
    fn repository_born_in_run(&self, git_dir: &Path) -> bool;
    /// Does a TCP listener or datagram socket of this run hold `port` on a loopback address?
    fn listens(&self, address: IpAddr, port: u16) -> bool;
    /// Was this Unix socket bound by the run?
    fn socket_born_in_run(&self, name: &UnixName) -> bool;
}

/// A run that has not begun has made nothing.
#[derive(Debug)]
pub struct NothingYet;

impl Facts for NothingYet {
    fn entry_born_in_run(&self, _: &Path) -> bool {
        false
    }
    fn repository_born_in_run(&self, _: &Path) -> bool {
        false
    }
    fn listens(&self, _: IpAddr, _: u16) -> bool {
        false
    }
    fn socket_born_in_run(&self, _: &UnixName) -> bool {
        false
    }
}

/// The places that a run's lists are relative to.
#[derive(Debug, Clone)]
pub struct Places {
    pub home: PathBuf,
    /// Real path, no symbolic link.
    pub workspace: PathBuf,
    /// The run's private temporary directory.
    pub temporary: PathBuf,
    /// The workspace's private cache.
    pub cache: PathBuf,
    /// Git directories outside the workspace that a `.git` file of it names, with proof that they
    /// point back: their objects, refs, logs and index are writable.
    pub git_dirs: Vec<PathBuf>,
    /// Where new names in split directories wait; nobody in the run writes there.
    pub nursery: Option<PathBuf>,
    /// Spec mode: nothing is written but the temporary directory.
    pub read_only: bool,
}

/// Directories shared by everybody, where a run may write what it created itself.
pub const SHARED_TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Where the slaves of pseudo-terminals are.
const TERMINALS: &str = "/dev/pts";

/// The path with its symbolic links resolved, as far as it exists, where that is another one.
pub type Real<'a> = dyn Fn(&Path) -> Option<PathBuf> + 'a;

/// What is of interest beneath a directory, nothing beneath what is; `None` where that is too much.
pub type Search<'a> = dyn Fn(&Path, &dyn Fn(&Path) -> bool) -> Option<Vec<PathBuf>> + 'a;

/// Input of the floor. The deepest root or carve at or above a path decides: beneath a root it may
/// be granted, beneath a carve not. A root may lie beneath a carve, and a carve need not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentYes {
    pub roots: Vec<PathBuf>,
    pub carve: Vec<PathBuf>,
    /// Carves hold what patterns denied when the tree was searched; they deny later names too.
    pub patterned: bool,
}

impl SilentYes {
    /// Ordered, and nothing both root and carve: a root that a carve names is none.
    fn in_order(mut self) -> Self {
        self.roots.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.carve.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.carve.dedup();
        let carve = &self.carve;
        self.roots.retain(|root| carve.binary_search_by(|carved| key(carved).cmp(key(root))).is_err());
        self
    }

    /// Never terminals: only whoever opened the other end of one may open it, which no list says, and a
    /// path can be flipped after it was judged.
    fn without_terminals(mut self) -> Self {
        self.roots.retain(|root| !root.starts_with(TERMINALS) || root.ends_with("ptmx"));
        if let Err(at) = self.carve.binary_search_by(|carve| key(carve).cmp(TERMINALS.as_bytes())) {
            self.carve.insert(at, TERMINALS.into());
        }
        self
    }
}

/// What rules say of what lies beneath the two names of something that is moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beneath {
    /// Denied or blocked paths strictly beneath either name.
    pub restricted: Vec<PathBuf>,
    /// What beneath them has to be judged at both names. Moving guarded things away makes room for
    /// others, as removing them would.
    pub inspect: Inspect,
}

/// Which paths beneath a moved directory rules could speak of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inspect {
    #[default]
    Nothing,
    /// Those whose last name [`Policy::could_mean`] knows.
    Names,
    Everything,
}

/// The compiled answer to "may this access happen".
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) places: Places,
    read: PathLists,
    write: PathLists,
    hosts: HostLists,
    sockets: SocketLists,
    allow_local_binding: bool,
}

/// The lists that are not for reading, which are as much work as those.
#[derive(Debug)]
pub struct OtherLists {
    write: PathLists,
    hosts: HostLists,
    sockets: SocketLists,
}

impl OtherLists {
    /// As [`Policy::compile`] would.
    pub fn compile(sandbox: &Sandbox, places: &Places, real: &Real<'_>) -> Result<Self, CompileError> {
        let (files, network) = (&sandbox.filesystem, &sandbox.network);
        let writing = [
            (Effect::Allow, List::AllowWrite, files.allow_write.as_slice()),
            (Effect::Deny, List::DenyWrite, &files.deny_write),
            (Effect::Block, List::BlockWrite, &files.block_write),
            (Effect::Quiet, List::QuietWrite, &files.quiet_write),
        ];
        let links = Links::new(real, places, &files.allow_write);
        Ok(Self {
            write: PathLists::compile(&writing, true, places, &links)?,
            hosts: HostLists::compile(network)?,
            sockets: SocketLists::compile(network, places, &links)?,
        })
    }
}

impl Policy {
    /// Compiles merged settings. `real` gives a rule's path without symbolic links: accesses are
    /// judged by real paths, so a rule that names a link speaks of what it leads to as well.
    pub fn compile(sandbox: &Sandbox, places: Places, real: &Real<'_>) -> Result<Self, CompileError> {
        let others = |places: &Places| OtherLists::compile(sandbox, places, real);
        Self::compile_beside(sandbox, places, real, others)
    }

    /// As [`Self::compile`], but for the lists that are not for reading, which come from elsewhere.
    pub fn compile_beside<E: From<CompileError>>(
        sandbox: &Sandbox,
        places: Places,
        real: &Real<'_>,
        others: impl FnOnce(&Places) -> Result<OtherLists, E>,
    ) -> Result<Self, E> {
        let files = &sandbox.filesystem;
        let links = Links::new(real, &places, &files.allow_write);
        let reading = [
            (Effect::Allow, List::AllowRead, files.allow_read.as_slice()),
            (Effect::Deny, List::DenyRead, &files.deny_read),
            (Effect::Block, List::BlockRead, &files.block_read),
            (Effect::Quiet, List::QuietRead, &files.quiet_read),
        ];
        let read = PathLists::compile(&reading, false, &places, &links)?;
        let OtherLists { write, hosts, sockets } = others(&places)?;
        let allow_local_binding = sandbox.network.allow_local_binding;
        Ok(Self { places, read, write, hosts, sockets, allow_local_binding })
    }

    /// Judges one access. Pure: the same lists and facts give the same verdict.
    pub fn judge(&self, access: &Access<'_>, facts: &dyn Facts) -> Verdict {
        match *access {
            Access::Read(path) => self.conclude(access, self.read.rule(path)),
            Access::Write(path, change) => self.judge_write(access, path, change, facts),
            Access::Connect { host, port } => {
                if let Host::Address(address) = host
                    && address.is_loopback()
                    && facts.listens(*address, port)
                {
                    return Verdict::Allow(permit());
                }
                self.conclude(access, self.hosts.rule(host, port))
            }
            Access::PrivateResult { name, address, port } => {
                let ruling = self.hosts.rule_private(name, address, port);
                self.conclude_because(access, ruling, Reason::PrivateAddress)
            }
            Access::Bind(address) => {
                if address.ip().to_canonical().is_loopback() && self.allow_local_binding {
                    return Verdict::Allow(permit());
                }
                let host = Host::Address(address.ip().to_canonical());
                self.conclude(access, self.hosts.rule(&host, address.port()))
            }
            Access::Unix(name) => {
                if facts.socket_born_in_run(name) {
                    return Verdict::Allow(permit());
                }
                self.conclude(access, self.sockets.rule(name))
            }
            Access::Command(_) => Verdict::Allow(permit()),
        }
    }

    fn judge_write(&self, access: &Access<'_>, path: &Path, change: Change, facts: &dyn Facts) -> Verdict {
        let ruling = self.write.rule(path);
        if let Ruling::Deny(rule) = &ruling
            && let Some(relief) = rule.repository_relief(path)
            && facts.repository_born_in_run(&relief.git_dir)
            && relief.harmless
        {
            return Verdict::Allow(permit());
        }
        if matches!(ruling, Ruling::Unlisted | Ruling::Quiet(_))
            && !self.places.read_only
            && let Some((top, direct)) = shared_temporary_entry(path)
        {
            let ours = (direct && change == Change::Create) || facts.entry_born_in_run(&top);
            if ours {
                return Verdict::Allow(permit());
            }
            return self.conclude_because(access, ruling, Reason::NotOurs);
        }
        self.conclude(access, ruling)
    }

    fn conclude(&self, access: &Access<'_>, ruling: Ruling<'_>) -> Verdict {
        self.conclude_because(access, ruling, Reason::NotListed)
    }

    fn conclude_because(&self, access: &Access<'_>, ruling: Ruling<'_>, unlisted: Reason) -> Verdict {
        match ruling {
            Ruling::Allow => Verdict::Allow(permit()),
            Ruling::Block(rule) => Verdict::Deny(Denial {
                operation: access.operation(),
                target: access.target(),
                rule: Some(rule.rule.clone()),
                errno: libc::EACCES,
                finality: Finality::Final,
            }),
            Ruling::Quiet(rule) => Verdict::Deny(Denial {
                operation: access.operation(),
                target: access.target(),
                rule: Some(rule.rule.clone()),
                errno: if access.operation() == Operation::Unix { libc::ECONNREFUSED } else { libc::EACCES },
                finality: Finality::Quiet,
            }),
            Ruling::Deny(rule) => {
                let organisation = rule.rule.source.layer == Layer::Organisation;
                let reason = Reason::Denied(rule.rule.clone());
                Verdict::Ask(Box::new(grants::question(access, reason, organisation)))
            }
            Ruling::Unlisted => Verdict::Ask(Box::new(grants::question(access, unlisted, false))),
        }
    }

    /// What the floor may grant for reading.
    pub fn silent_reading(&self, search: &Search<'_>) -> SilentYes {
        self.read.silent_reading(search).without_terminals()
    }

    /// What the floor may grant for writing.
    pub fn silent_writing(&self) -> SilentYes {
        self.write.silent_writing().without_terminals()
    }

    /// Do the lists allow reading the real `path`?
    pub fn may_read(&self, path: &Path) -> bool {
        matches!(self.read.rule(path), Ruling::Allow)
    }

    /// Is nothing readable ever asked about, so that read-only opens need no trap?
    pub fn reads_everything(&self) -> bool {
        self.read.allows_everything()
    }

    /// Is `name` allowed on some port, so that it may be looked up upstream?
    pub fn name_is_allowed(&self, name: &str) -> bool {
        self.hosts.name_is_allowed(name)
    }

    /// Is the target allowed by an entry that names this very port? A name service is reached past
    /// the stub only so.
    pub fn allows_port(&self, host: &Host, port: u16) -> bool {
        self.hosts.allows_port(host, port)
    }

    /// What moving `from` to `to` would do to what lies beneath them: moving a directory moves
    /// names that rules speak of.
    pub fn beneath_rename(&self, from: &Path, to: &Path) -> Beneath {
        let lists = [&self.read, &self.write];
        let ends = || lists.into_iter().flat_map(|lists| [(lists, from), (lists, to)]);
        Beneath {
            restricted: ends().flat_map(|(lists, end)| lists.literals_beneath(end)).collect(),
            inspect: ends().map(|(lists, end)| lists.inspect(end)).max().unwrap_or_default(),
        }
    }

    /// Could a rule for any depth speak of something because of this last name?
    pub fn could_mean(&self, name: &OsStr) -> bool {
        self.read.could_mean(name) || self.write.could_mean(name)
    }

    /// Paths that rules for writing speak of and that would lie beneath `link`: a symbolic link of
    /// that name makes them lead somewhere that no rule speaks of.
    pub fn beneath_link(&self, link: &Path) -> Vec<PathBuf> {
        self.write.literals_beneath(link).chain(self.write.patterns_beneath(link)).collect()
    }

    /// Adds a rule, for grants that live only as long as the run or session. One that is no valid entry adds nothing.
    pub fn grant(&mut self, grant: &Grant) -> Result<(), CompileError> {
        match grant.operation {
            Operation::Read => self.read.add(grant, &self.places),
            Operation::Write => self.write.add(grant, &self.places),
            Operation::Connect | Operation::Bind => self.hosts.add(grant),
            Operation::Unix => self.sockets.add(grant, &self.places),
            Operation::Command => Ok(()),
        }
    }

    /// The rule that decides `access`, for `askance why`.
    pub fn deciding_rule(&self, access: &Access<'_>) -> Option<Rule> {
        let ruling = match *access {
            Access::Read(path) => self.read.deciding(path),
            Access::Write(path, _) => self.write.deciding(path),
            Access::Connect { host, port } => self.hosts.deciding(host, port),
            Access::Bind(address) => self.hosts.deciding(&Host::Address(address.ip()), address.port()),
            Access::Unix(name) => self.sockets.deciding(name),
            Access::PrivateResult { .. } | Access::Command(_) => None,
        };
        ruling.cloned()
    }
}

fn permit() -> Permit {
    Permit { _made_by_judgement: () }
}

/// The direct child of a shared temporary directory that `path` is or lies beneath, and whether it
/// is that child itself.
pub fn shared_temporary_entry(path: &Path) -> Option<(PathBuf, bool)> {
    SHARED_TEMPORARY.iter().find_map(|shared| {
        let rest = path.strip_prefix(shared).ok()?;
        let mut components = rest.components();
        let first = components.next()?;
        Some((Path::new(shared).join(first), components.next().is_none()))
    })
}

/// A policy that may be replaced while it is in use.
pub type SharedPolicy = Arc<Policy>;
