//! What a run adds to while it goes on. Cheap pushes; nothing is formatted before the end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::event::Event;
use super::report::{Denied, FileChangeKind, FileEntry, ProcessReport, Question, RuleReport};
use super::stream::Stream;

/// Denied targets and changed files remembered at most; a storm must not grow memory.
const REMEMBERED: usize = 10_000;

/// How a file changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Created,
    Modified,
    Deleted,
    Renamed { from: PathBuf },
}

/// One change of a file, as the broker made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: PathBuf,
    pub change: Change,
}

/// Whether an allow list could undo a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// An entry in an allow list would let it through.
    Open,
    /// A rule forbids it, whatever allow lists say.
    Final,
    /// As `Open`; a well-known optional access that programs cope without, counted apart in the report.
    Quiet,
}

/// One question and its answer, in the report's words.
#[derive(Debug, Clone)]
pub struct QuestionRecord {
    pub operation: &'static str,
    pub target: String,
    pub reason: String,
    pub rule: Option<RuleReport>,
    pub process: ProcessReport,
    pub answer: &'static str,
    pub scope: Option<&'static str>,
    pub waited: Duration,
}

/// A question as it is kept: a program that asks about thousands of files asks each time for the same reason.
#[derive(Debug)]
struct Kept {
    operation: &'static str,
    target: Box<str>,
    /// Shared with the question before, where it is the same.
    why: Arc<Why>,
    answer: &'static str,
    scope: Option<&'static str>,
    waited: Duration,
}

#[derive(Debug, PartialEq)]
struct Why {
    reason: String,
    rule: Option<RuleReport>,
    process: ProcessReport,
}

#[derive(Debug, Default)]
struct Pages {
    denied: HashMap<(&'static str, String), (u64, Option<String>, Finality)>,
    denied_order: Vec<(&'static str, String)>,
    questions: Vec<Kept>,
    files: Vec<FileChange>,
    notes: Vec<String>,
}

/// The record of a run in the making.
#[derive(Debug, Default)]
pub struct Journal {
    run: String,
    pages: Mutex<Pages>,
    /// Told of changes as they happen.
    stream: Option<Arc<Stream>>,
}

impl Journal {
    /// The record of a run that begins now.
    pub fn begin(stream: Option<Arc<Stream>>) -> Self {
        Self { run: run_id(), pages: Mutex::default(), stream }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An access was refused.
    pub fn denied(&self, operation: &'static str, target: &str, rule: Option<String>, finality: Finality) {
        let mut pages = self.pages();
        let key = (operation, target.to_owned());
        if let Some((count, ..)) = pages.denied.get_mut(&key) {
            *count += 1;
        } else if pages.denied.len() < REMEMBERED {
            pages.denied_order.push(key.clone());
            pages.denied.insert(key, (1, rule, finality));
        }
    }

    /// A question was answered.
    pub fn question(&self, record: QuestionRecord) {
        let QuestionRecord { operation, target, reason, rule, process, answer, scope, waited } = record;
        let why = Why { reason, rule, process };
        let mut pages = self.pages();
        if pages.questions.len() < REMEMBERED {
            let why = match pages.questions.last() {
                Some(last) if *last.why == why => Arc::clone(&last.why),
                _ => Arc::new(why),
            };
            let kept = Kept { operation, target: target.into(), why, answer, scope, waited };
            pages.questions.push(kept);
        }
    }

    /// A file was changed. Changes of a file that are known already add nothing.
    pub fn file(&self, change: FileChange) {
        let mut pages = self.pages();
        if pages.files.len() >= REMEMBERED {
            return;
        }
        if let Some(stream) = &self.stream {
            stream.tell(&Event::FileChanged(entry(change.path.clone(), &change.change)));
        }
        pages.files.push(change);
    }

    /// Something that the user should read in the report; said once.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut pages = self.pages();
        if !pages.notes.contains(&text) && pages.notes.len() < REMEMBERED {
            pages.notes.push(text);
        }
    }

    pub fn notes(&self) -> Vec<String> {
        self.pages().notes.clone()
    }

    /// Everything refused, with the command that would have allowed it.
    pub fn denials(&self) -> Vec<Denied> {
        let pages = self.pages();
        let known = pages.denied_order.iter().filter_map(|key| pages.denied.get(key).map(|found| (key, found)));
        known
            .map(|((operation, target), (count, rule, finality))| Denied {
                operation: (*operation).to_owned(),
                target: target.clone(),
                count: *count,
                rule: rule.clone(),
                hint: (*finality != Finality::Final).then(|| hint(operation, target)).flatten(),
                quiet: *finality == Finality::Quiet,
            })
            .collect()
    }

    pub fn questions(&self) -> Vec<Question> {
        let report = |kept: &Kept| Question {
            operation: kept.operation.to_owned(),
            target: kept.target.to_string(),
            reason: kept.why.reason.clone(),
            rule: kept.why.rule.clone(),
            process: kept.why.process.clone(),
            answer: kept.answer.to_owned(),
            scope: kept.scope.map(str::to_owned),
            waited_ms: u64::try_from(kept.waited.as_millis()).unwrap_or(u64::MAX),
        };
        self.pages().questions.iter().map(report).collect()
    }

    /// The net changes, in the order of their first: created then deleted is nothing.
    pub fn files(&self) -> Vec<FileEntry> {
        net_changes(&self.pages().files)
    }
}

fn net_changes(changes: &[FileChange]) -> Vec<FileEntry> {
    let mut order: Vec<PathBuf> = Vec::new();
    let mut net: HashMap<PathBuf, Change> = HashMap::new();
    for FileChange { path, change } in changes {
        let before = net.get(path).cloned();
        let after = match (before, change) {
            (None, change) => Some(change.clone()),
            (Some(Change::Created), Change::Deleted) => None,
            (Some(Change::Created), _) => Some(Change::Created),
            (Some(Change::Deleted), Change::Created | Change::Renamed { .. }) => Some(Change::Modified),
            (Some(Change::Renamed { from }), Change::Modified) => Some(Change::Renamed { from }),
            (Some(_), change) => Some(change.clone()),
        };
        let after = match after {
            Some(Change::Renamed { from }) => match net.remove(&from) {
                Some(Change::Created) => Some(Change::Created),
                _ => Some(Change::Renamed { from }),
            },
            other => other,
        };
        match after {
            Some(change) => {
                if !order.contains(path) {
                    order.push(path.clone());
                }
                net.insert(path.clone(), change);
            }
            None => {
                net.remove(path);
            }
        }
    }
    order.into_iter().filter_map(|path| net.get(&path).map(|change| entry(path.clone(), change))).collect()
}

fn entry(path: PathBuf, change: &Change) -> FileEntry {
    let (change, from) = match change {
        Change::Created => (FileChangeKind::Created, None),
        Change::Modified => (FileChangeKind::Modified, None),
        Change::Deleted => (FileChangeKind::Deleted, None),
        Change::Renamed { from } => (FileChangeKind::Renamed, Some(from.clone())),
    };
    FileEntry { path, change, from }
}

/// Unique enough for a person's journal: when, and which process.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_millis(), std::process::id())
}

/// The `askance allow …` that would have let an access through.
fn hint(operation: &str, target: &str) -> Option<String> {
    let kind = match operation {
        "read" | "write" | "unix" | "command" => operation,
        "connect" => "domain",
        _ => return None,
    };
    Some(format!("askance allow {kind} {}", quoted(target)))
}

/// A word as a shell takes it back whole.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, change: Change) -> FileChange {
        FileChange { path: path.into(), change }
    }

    #[test]
    fn created_and_deleted_again_is_nothing() {
        assert_eq!(net_changes(&[change("/w/a", Change::Created), change("/w/a", Change::Deleted)]), []);
    }

    #[test]
    fn a_temporary_file_renamed_onto_its_target_is_a_creation_of_the_target() {
        let changes =
            [change("/w/.a.tmp", Change::Created), change("/w/a", Change::Renamed { from: "/w/.a.tmp".into() })];
        let net = net_changes(&changes);
        assert_eq!(net.len(), 1);
        assert_eq!((net[0].path.to_str(), net[0].change), (Some("/w/a"), FileChangeKind::Created));
    }

    #[test]
    fn a_hint_survives_a_shell() {
        assert_eq!(hint("write", "/a b/it's").as_deref(), Some(r"askance allow write '/a b/it'\''s'"));
        assert_eq!(
            hint("connect", "api.example.test:443").as_deref(),
            Some("askance allow domain api.example.test:443")
        );
        assert_eq!(hint("bind", "0.0.0.0:1"), None);
    }

    #[test]
    fn denials_are_counted_by_target() {
        let journal = Journal::default();
        for _ in 0..3 {
            journal.denied("read", "/etc/shadow", None, Finality::Open);
        }
        let denied = journal.denials();
        assert_eq!((denied.len(), denied[0].count), (1, 3));
    }
}
