//! What a running process attempts, as judged: an operation and the real thing it reaches.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The kind of access, in the words of answers files, reports and questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Read,
    Write,
    Connect,
    Bind,
    Unix,
    Command,
}

impl Operation {
    /// The word used in reports, answers files and questions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Unix => "unix",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a path is written to. One save (open, metadata, rename onto it) is one target either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The path exists and its content, metadata or name is changed.
    Existing,
    /// The path does not exist and is created.
    Create,
}

/// A remote end as the program named it: a name that it looked up, or a bare address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, no trailing dot, IDNA-normalised (A-labels).
    Name(String),
    /// Never v4-mapped: `::ffff:a.b.c.d` is the IPv4 address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A Unix socket's name: a real path, or an abstract name without its leading NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnixName {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

/// One attempted access. Paths are absolute and real: no symbolic link, no `.` or `..`.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    Read(&'a Path),
    Write(&'a Path, Change),
    /// A TCP connection or a datagram's destination. Port 0 never reaches judgement.
    Connect {
        host: &'a Host,
        port: u16,
    },
    /// `name` resolved to `address`, which is not public: the second question of a connection.
    PrivateResult {
        name: &'a str,
        address: IpAddr,
        port: u16,
    },
    /// A listener (`listen`), or a datagram socket's `bind`.
    Bind(SocketAddr),
    Unix(&'a UnixName),
    /// The real argument vector of an `execve`.
    Command(&'a [String]),
}

/// What an access reaches, owned: what questions, grants and reports name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Path(PathBuf),
    Host { host: Host, port: u16 },
    Resolved { name: String, address: IpAddr, port: u16 },
    Socket(SocketAddr),
    Unix(UnixName),
    Command(Vec<String>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Resolved { name, address, port } => match address {
                IpAddr::V4(v4) => write!(f, "{name}={v4}:{port}"),
                IpAddr::V6(v6) => write!(f, "{name}=[{v6}]:{port}"),
            },
            Self::Socket(address) => write!(f, "{address}"),
            Self::Unix(UnixName::Path(path)) => write!(f, "{}", path.display()),
            Self::Unix(UnixName::Abstract(name)) => {
                write!(f, "@{}", String::from_utf8_lossy(name))
            }
            Self::Command(argv) => f.write_str(&argv.join(" ")),
        }
    }
}

impl Access<'_> {
    pub fn operation(&self) -> Operation {
        match self {
            Self::Read(_) => Operation::Read,
            Self::Write(..) => Operation::Write,
            Self::Connect { .. } | Self::PrivateResult { .. } => Operation::Connect,
            Self::Bind(_) => Operation::Bind,
            Self::Unix(_) => Operation::Unix,
            Self::Command(_) => Operation::Command,
        }
    }

    pub fn target(&self) -> Target {
        match *self {
            Self::Read(path) | Self::Write(path, _) => Target::Path(path.to_owned()),
            Self::Connect { host, port } => Target::Host { host: host.clone(), port },
            Self::PrivateResult { name, address, port } => Target::Resolved { name: name.to_owned(), address, port },
            Self::Bind(address) => Target::Socket(address),
            Self::Unix(name) => Target::Unix(name.clone()),
            Self::Command(argv) => Target::Command(argv.to_vec()),
        }
    }
}
