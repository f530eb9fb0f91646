//! `execve` and `execveat`: the real argument vector is held against block list, deny list and
//! interlocks, because shell text can hide a command and `execve` cannot.
//!
//! An exec cannot be brokered: it is judged on a copy and continued. What the kernel then really
//! started is judged again, from `/proc`, at the new image's first trapped call; an image that would
//! not have been let start is killed before that call is answered.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::Handler;
use super::call::{Call, Outcome, Reply};
use super::context::Context;
use super::memory::PathBuffer;
use crate::journal::Finality;
use crate::policy::{Answer, Denial, Operation, Question, Rule, Target};

/// Words of an argument vector that are looked at; a longer one is judged as far as this.
const WORDS_MAX: usize = 4096;

/// Bytes of one vector that are copied at most.
const BYTES_MAX: usize = 1 << 20;

/// A program about to start, or started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Execution {
    /// The file, without symbolic links.
    pub program: PathBuf,
    pub argv: Vec<OsString>,
    pub cwd: PathBuf,
}

/// What the command lists say of an execution.
#[derive(Debug)]
pub enum Standing {
    Free,
    Ask { rule: Rule, reason: String, lasts: Lasting },
    Refuse { rule: Rule },
}

/// How long an answer to an execution may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    Run,
    Session,
}

/// The command lists and interlocks, as the supervisor needs them.
pub trait Executions: Send + Sync {
    /// Could any argument vector of this program be refused or asked about?
    fn concerns(&self, program: &Path) -> bool;
    fn judge(&self, execution: &Execution) -> Standing;
}

/// Executions of one run that are not proven yet, and what was allowed.
#[derive(Default)]
pub(super) struct Started {
    /// Processes whose next trapped call may come from an image that was judged on a copy only.
    unproven: Mutex<HashMap<i32, ()>>,
    count: AtomicUsize,
    allowed: Mutex<HashSet<Execution>>,
}

impl Started {
    fn unproven(&self) -> MutexGuard<'_, HashMap<i32, ()>> {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, tgid: i32) {
        let mut unproven = self.unproven();
        unproven.insert(tgid, ());
        self.count.store(unproven.len(), Ordering::Release);
    }

    fn proven(&self, tgid: i32) {
        let mut unproven = self.unproven();
        unproven.remove(&tgid);
        self.count.store(unproven.len(), Ordering::Release);
    }

    /// In this directory: what `rm -rf .` means depends on it.
    fn allow(&self, execution: &Execution) {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.insert(execution.clone());
    }

    fn is_allowed(&self, execution: &Execution) -> bool {
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        !allowed.is_empty() && allowed.contains(execution)
    }

    /// The same wherever it is by now: an image may have changed its directory before it is proven.
    fn was_allowed(&self, started: &Execution) -> bool {
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.iter().any(|one| one.program == started.program && one.argv == started.argv)
    }
}

pub(super) fn handler(nr: i64) -> Option<Handler> {
    match nr {
        libc::SYS_execve => Some(|context, call| execute(context, call, At::cwd(call.args[0], call.args[1]))),
        libc::SYS_execveat => Some(|context, call| execute(context, call, At::directory(call))),
        _ => None,
    }
}

/// Where a call's program and arguments are.
#[derive(Debug, Clone, Copy)]
struct At {
    dirfd: i32,
    path: u64,
    argv: u64,
    /// `AT_EMPTY_PATH`: the descriptor itself is the program.
    empty: bool,
}

impl At {
    fn cwd(path: u64, argv: u64) -> Self {
        Self { dirfd: libc::AT_FDCWD, path, argv, empty: false }
    }

    fn directory(call: &Call) -> Self {
        // Descriptor and flags are ints: the kernel ignores their high halves.
        let [dirfd, path, argv, _, flags, _] = call.args;
        #[allow(clippy::cast_possible_truncation)]
        let (dirfd, flags) = (dirfd as i32, flags as i32);
        Self { dirfd, path, argv, empty: flags & libc::AT_EMPTY_PATH != 0 }
    }
}

fn execute(context: &Context, call: &Call, at: At) -> Outcome {
    let Ok(caller) = context.caller(call) else { return Outcome::errno(libc::EINTR) };
    // Whatever the copy says, also that nothing is there: the kernel reads the path again.
    context.started().expect(caller.tgid);
    let program = match program(call, at) {
        Ok(Some(program)) => program,
        // Nothing there, as in a search along PATH, or nothing that may be looked at: the kernel says so itself.
        Ok(None) => return Outcome::Reply(Reply::ContinueUnderFloor),
        Err(errno) => return Outcome::errno(errno),
    };
    if !context.executions().concerns(&program) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    let argv = match argument_vector(call, at.argv) {
        Ok(argv) => argv,
        Err(errno) => return Outcome::errno(errno),
    };
    let cwd = fs::read_link(format!("/proc/{}/cwd", call.tid)).unwrap_or_default();
    decide(context, call, Execution { program, argv, cwd })
}

fn decide(context: &Context, call: &Call, execution: Execution) -> Outcome {
    if context.started().is_allowed(&execution) {
        return Outcome::Reply(Reply::ContinueUnderFloor);
    }
    match context.executions().judge(&execution) {
        Standing::Free => Outcome::Reply(Reply::ContinueUnderFloor),
        Standing::Refuse { rule } => context.refuse(
            call,
            &Denial {
                operation: Operation::Command,
                target: Target::Command(words(&execution.argv)),
                rule: Some(rule),
                errno: libc::EACCES,
                finality: Finality::Final,
            },
        ),
        Standing::Ask { rule, reason, lasts } => Outcome::Ask {
            question: Box::new(question(&execution, rule, reason, lasts)),
            refusal: libc::EACCES,
            act: Box::new(move |_permit, context, _call| {
                // The same vector is not asked about again in this run.
                context.started().allow(&execution);
                Outcome::Reply(Reply::ContinueUnderFloor)
            }),
        },
    }
}

fn question(execution: &Execution, rule: Rule, reason: String, lasts: Lasting) -> Question {
    let mut question = Question::command(words(&execution.argv), rule, reason);
    if lasts == Lasting::Session {
        question.offer(Answer::Session);
    }
    question
}

/// Before any call is served: if its process may have become another image since it was judged,
/// what it really became is judged. `false`: it was killed, or cannot be known, and the call is refused.
pub(super) fn prove(context: &Context, call: &Call) -> bool {
    if context.started().count.load(Ordering::Acquire) == 0 {
        return true;
    }
    let Ok(caller) = context.caller(call) else { return false };
    if !context.started().unproven().contains_key(&caller.tgid) {
        return true;
    }
    // By the calling thread: a process whose first thread is gone has no image to show.
    let Ok(program) = fs::read_link(format!("/proc/{}/exe", call.tid)) else { return false };
    if context.executions().concerns(&program) {
        let Some(real) = really_started(call.tid, program) else { return false };
        let free = context.started().was_allowed(&real) || matches!(context.executions().judge(&real), Standing::Free);
        if !free {
            caller.kill();
            context.journal().denied(
                Operation::Command.word(),
                &Target::Command(words(&real.argv)).to_string(),
                Some("the arguments changed between judgement and start".to_owned()),
                Finality::Final,
            );
            return false;
        }
    }
    // An exec that has not happened yet leaves the image it was called from: only a call of the
    // process's first thread that is alone can be the new image's.
    if call.tid == caller.tgid && is_single_threaded(caller.tgid) && call.nr != libc::SYS_execve {
        context.started().proven(caller.tgid);
    }
    true
}

fn is_single_threaded(tgid: i32) -> bool {
    // `.`, `..` and one thread.
    fs::metadata(format!("/proc/{tgid}/task")).is_ok_and(|tasks| tasks.nlink() == 3)
}

/// What `/proc` says that the process with this program is.
fn really_started(tid: i32, program: PathBuf) -> Option<Execution> {
    let cmdline = fs::read(format!("/proc/{tid}/cmdline")).ok()?;
    let cwd = fs::read_link(format!("/proc/{tid}/cwd")).unwrap_or_default();
    let line = cmdline.strip_suffix(&[0]).unwrap_or(&cmdline);
    let argv = line.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    Some(Execution { program, argv, cwd })
}

/// The program's real path; `None` where the kernel will find nothing to execute.
fn program(call: &Call, at: At) -> Result<Option<PathBuf>, i32> {
    let mut buffer = PathBuffer::new();
    call.read_path(at.path, &mut buffer)?;
    let spelled = match (buffer.bytes(), at.dirfd) {
        ([], fd) if at.empty => format!("/proc/{}/fd/{fd}", call.tid).into(),
        ([], _) => return Ok(None),
        ([b'/', ..], _) => absolute(call, buffer.path()),
        (_, libc::AT_FDCWD) => Path::new(&format!("/proc/{}/cwd", call.tid)).join(buffer.path()),
        (_, fd) => Path::new(&format!("/proc/{}/fd/{fd}", call.tid)).join(buffer.path()),
    };
    match openat(CWD, &spelled, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => {
            use std::os::fd::AsRawFd;
            let named = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()));
            named.map(Some).map_err(|error| error.raw_os_error().unwrap_or(libc::EACCES))
        }
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Err(libc::EAGAIN),
        Err(_) => Ok(None),
    }
}

/// `/proc/self` is the caller's, not ours.
fn absolute(call: &Call, path: &Path) -> PathBuf {
    let own = Path::new("/proc").join(call.tid.to_string());
    match (path.strip_prefix("/proc/self"), path.strip_prefix("/proc/thread-self")) {
        (Ok(rest), _) | (_, Ok(rest)) => own.join(rest),
        _ => path.to_owned(),
    }
}

/// Copies the argument vector, once.
fn argument_vector(call: &Call, address: u64) -> Result<Vec<OsString>, i32> {
    let mut argv = Vec::new();
    let mut bytes = 0;
    let mut buffer = PathBuffer::new();
    if address == 0 {
        return Ok(argv);
    }
    for index in 0..WORDS_MAX as u64 {
        let pointer: u64 = call.read_value(address.wrapping_add(index * 8))?;
        if pointer == 0 || bytes > BYTES_MAX {
            break;
        }
        let word = match call.read_path(pointer, &mut buffer) {
            Ok(()) => buffer.bytes().to_vec(),
            // Longer than any path: its beginning is enough to know it by.
            Err(libc::ENAMETOOLONG) => call.read_bytes(pointer, super::memory::PATH_MAX)?,
            Err(errno) => return Err(errno),
        };
        bytes += word.len();
        argv.push(OsString::from_vec(word));
    }
    Ok(argv)
}

fn words(argv: &[OsString]) -> Vec<String> {
    argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}
