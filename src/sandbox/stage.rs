//! The steps of a launch that can fail in a forked process, by number on the wire.

/// A step between fork and exec, for its error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Session,
    Terminal,
    Descriptors,
    Privileges,
    Scope,
    Fork,
    Directory,
    Limits,
    Floor,
    Filter,
}

impl Stage {
    const ALL: [Self; 10] = [
        Self::Session,
        Self::Terminal,
        Self::Descriptors,
        Self::Privileges,
        Self::Scope,
        Self::Fork,
        Self::Directory,
        Self::Limits,
        Self::Floor,
        Self::Filter,
    ];

    pub(super) fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as i32 == number)
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Session => "start a session",
            Self::Terminal => "take the controlling terminal",
            Self::Descriptors => "sort the command's descriptors",
            Self::Privileges => "give up privileges",
            Self::Scope => "confine the monitor's signals",
            Self::Fork => "fork the command",
            Self::Directory => "enter the working directory",
            Self::Limits => "set the command's limits",
            Self::Floor => "enter the Landlock floor",
            Self::Filter => "install the system call filter",
        }
    }
}
