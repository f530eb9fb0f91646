//! What somebody wants run, and what has to be known of the machine to judge it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::verdict::Risk;
use crate::settings::{AutonomyLevel, InteractionMode};

/// A command that somebody wants run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub subject: Subject<'a>,
    /// Absolute.
    pub cwd: &'a Path,
    /// Absolute; everything that the command may write by default is below.
    pub workspace: &'a Path,
    pub home: Option<&'a Path>,
    /// What the caller says of the risk.
    pub declared: Option<Risk>,
}

#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Text for a shell, as its bytes.
    Shell(&'a [u8]),
    /// A program and its arguments, started without a shell.
    Argv(&'a [OsString]),
}

/// How much runs unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    pub level: AutonomyLevel,
    /// What the level can be raised to.
    pub ceiling: AutonomyLevel,
    pub mode: InteractionMode,
}

/// What a flag or the session chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chosen {
    pub level: Option<AutonomyLevel>,
    pub mode: Option<InteractionMode>,
}

/// The machine, as far as judgement needs it. Answers are remembered while one request is judged; none may block.
pub trait Surroundings {
    /// The file that a bare word runs, by `PATH`.
    fn find_program(&self, name: &str) -> Option<PathBuf>;
    /// May the sandbox write this file or directory without a question?
    fn sandbox_may_write(&self, path: &Path) -> bool;
    /// The path without symbolic links, if it exists.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
    fn is_mount_point(&self, path: &Path) -> bool;
    fn is_block_device(&self, path: &Path) -> bool;
    /// A program that the configuration of the repository around `dir` makes Git run while it only reads: the key that names it.
    fn repository_runs(&self, dir: &Path) -> Option<String>;
}
