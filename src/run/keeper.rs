//! Answers that last: written to settings files, and settings files that others changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::approval::{Verdict, exact_pattern};
use crate::journal::Journal;
use crate::policy::{Answer, Place, Places, Policy, Question, Reason, Target};
use crate::sandbox::Survey;
use crate::session::{CommandGrant, Form, Session, SessionError, Stamp as SessionStamp};
use crate::settings::{Approval, Locations, edit};
use crate::supervisor::Keeper;

use super::{Load, RunRequest, commands, spec};

/// What tells that a file is another than before.
type Stamp = Option<(u64, i64, i64, u64)>;

/// An answer that should have lasted does not.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Edit(#[from] edit::EditError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Keeps answers in the settings files of one run's locations, and in its session.
pub(super) struct SettingsKeeper {
    locations: Locations,
    load: Arc<Load>,
    session: Arc<Session>,
    /// What the session's level is held against.
    approval: Approval,
    /// The request, where "this session" allows it.
    request: Option<CommandGrant>,
    places: Places,
    journal: Arc<Journal>,
    seen: Mutex<(Vec<Stamp>, SessionStamp)>,
}

impl SettingsKeeper {
    pub(super) fn new(request: &RunRequest, approval: Approval, places: Places, journal: Arc<Journal>) -> Self {
        let seen = Mutex::new((stamps(&request.locations), request.session.stamp()));
        Self {
            locations: request.locations.clone(),
            load: Arc::clone(&request.load),
            session: Arc::clone(&request.session),
            request: commands::grant_of(request),
            approval,
            places,
            journal,
            seen,
        }
    }

    /// Persists what was answered about the start of the request itself.
    pub(super) fn keep_start(&self, verdict: &Verdict, question: &Question, answer: &Answer) {
        let kept = match answer {
            Answer::Always { place, .. } => {
                let mut patterns = verdict.coverable.iter().map(|words| exact_pattern(words));
                let list = ["commandAllowlist"];
                let add = |pattern: String| edit::add(&self.locations, &self.file(*place), &list, &pattern);
                patterns.try_for_each(|pattern| add(pattern).map(|_| ())).map_err(KeepError::from)
            }
            Answer::Session => match (&self.request, question.reason.rule()) {
                (Some(request), Some(rule)) => self.grant(CommandGrant { rule: rule.text(), ..request.clone() }),
                _ => Ok(()),
            },
            Answer::Raise { level } => {
                self.session.set_level(&self.approval, *level).map(|_| ()).map_err(KeepError::from)
            }
            Answer::Once | Answer::Run | Answer::Unlist | Answer::Deny | Answer::Never { .. } => Ok(()),
        };
        self.told(answer, kept);
    }

    fn grant(&self, command: CommandGrant) -> Result<(), KeepError> {
        Ok(self.session.grant_command(command)?)
    }

    fn told(&self, answer: &Answer, kept: Result<(), KeepError>) {
        if let Err(error) = kept {
            let chain = crate::journal::chain(&error);
            self.journal.note(format!("\"{}\" holds for this run only: failed to {chain}", answer.word()));
        }
    }

    /// What an answer "for this session" allows in its other runs.
    fn share(&self, question: &Question) -> Result<(), KeepError> {
        if let (Target::Command(argv), Some(rule)) = (&question.target, question.reason.rule()) {
            return self.grant(CommandGrant {
                workspace: self.places.workspace.clone(),
                words: argv.clone(),
                form: Form::Argv,
                rule: rule.text(),
            });
        }
        match question.grant(&Answer::Session) {
            Some(grant) => Ok(self.session.grant(grant)?),
            None => Ok(()),
        }
    }

    fn file(&self, place: Place) -> PathBuf {
        match place {
            Place::Project => self.locations.local_file(),
            Place::User => self.locations.user_file(),
        }
    }

    fn write(&self, question: &Question, answer: &Answer) -> Result<(), KeepError> {
        let place = match answer {
            Answer::Always { place, .. } | Answer::Never { place } => *place,
            Answer::Unlist => return Ok(self.unlist(question)?),
            Answer::Session => return self.share(question),
            Answer::Once | Answer::Run | Answer::Raise { .. } | Answer::Deny => return Ok(()),
        };
        if let Some(grant) = question.grant(answer) {
            edit::add(&self.locations, &self.file(place), &grant.list(), &grant.entry)?;
        }
        Ok(())
    }

    /// Takes the deny rule that asked out of the file that it stands in.
    fn unlist(&self, question: &Question) -> Result<(), edit::EditError> {
        let Reason::Denied(rule) = &question.reason else { return Ok(()) };
        let (Some(file), Some(list)) = (&rule.source.file, rule.list) else { return Ok(()) };
        edit::remove(&self.locations, file, list.keys(), &rule.entry).map(|_| ())
    }
}

impl Keeper for SettingsKeeper {
    fn keep(&self, question: &Question, answer: &Answer) {
        self.told(answer, self.write(question, answer));
    }

    fn refresh(&self) -> Option<Policy> {
        let now = (stamps(&self.locations), self.session.stamp());
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return None;
            }
            *seen = now;
        }
        // A file that is broken right now changes nothing: the run goes on by what it knew.
        let mut settings = (self.load)().ok()?;
        if self.places.read_only {
            spec::restrict(&mut settings.sandbox);
        }
        let survey = Survey::default();
        let policy =
            Policy::compile(&settings.sandbox, self.places.clone(), &|path| survey.look(path).elsewhere).ok()?;
        Some(in_session(policy, &self.session))
    }
}

/// The policy with what the session grants. Spec mode grants nothing.
pub(super) fn in_session(mut policy: Policy, session: &Session) -> Policy {
    if !policy.places.read_only {
        for grant in session.grants() {
            // One that is no valid entry adds nothing.
            let _ = policy.grant(&grant);
        }
    }
    policy
}

fn stamps(locations: &Locations) -> Vec<Stamp> {
    let own = [locations.user_file(), locations.project_file(), locations.local_file(), locations.organisation.clone()];
    own.iter().map(PathBuf::as_path).chain(locations.folder_files().iter().map(PathBuf::as_path)).map(stamp).collect()
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).ok().map(|found| (found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}
