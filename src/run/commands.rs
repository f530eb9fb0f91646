//! May the command start, and what it starts in turn: approval, wired to the settings and to the
//! supervisor.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{Approving, NothingYet, RunError, RunRequest, Subject, Tool};
use crate::approval::{
    self, Authority, BadPattern, Decision, Ground, Host, Request, Risk, Rules, ToolRequest, Verdict,
};
use crate::journal::{self, Journal, ProcessReport, QuestionRecord, RuleReport};
use crate::policy::{self, Access, Answer, Change, Places, Question, Rule};
use crate::settings::{self, AutonomyLevel, Layer, Settings, Source};
use crate::supervisor::{Asked, Asker, Execution, Executions, LivePolicy, Process, Standing};

/// The command lists of one run, for its whole tree.
pub(super) struct Commands {
    rules: Rules,
    host: Host<'static>,
    workspace: PathBuf,
    home: PathBuf,
    approving: Approving,
}

impl Commands {
    pub(super) fn new(
        settings: &Settings,
        places: &Places,
        live: Arc<LivePolicy>,
        request: &RunRequest,
    ) -> Result<Self, BadPattern> {
        let lists = &settings.approval;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let writable = move |path: &Path| {
            let verdict = live.now().judge(&Access::Write(path, Change::Existing), &NothingYet);
            matches!(verdict, policy::Verdict::Allow(_))
        };
        Ok(Self {
            rules: Rules::new(&lists.command_blocklist, &lists.command_denylist, &lists.command_allowlist)?,
            host: Host::new(path, request.locations.cwd.clone(), writable),
            workspace: places.workspace.clone(),
            home: places.home.clone(),
            approving: request.approving,
        })
    }

    /// What approval says of the request.
    pub(super) fn judge(&self, request: &RunRequest, authority: Authority) -> Verdict {
        let subject = match &request.subject {
            Subject::Argv(argv) => approval::Subject::Argv(argv),
            Subject::Shell(text) => approval::Subject::Shell(text.as_encoded_bytes()),
            Subject::Tool(tool) => return self.judge_tool(tool, request, authority),
        };
        let request = Request {
            subject,
            cwd: &request.locations.cwd,
            workspace: &self.workspace,
            home: Some(&self.home),
            declared: request.declared.as_ref().map(|(risk, _)| *risk),
        };
        approval::judge(&self.rules, &request, authority, &self.host)
    }

    fn judge_tool(&self, tool: &Tool, request: &RunRequest, authority: Authority) -> Verdict {
        let call = ToolRequest {
            name: &tool.line,
            risk: tool.risk,
            why: if tool.risk == Risk::ReadOnly { "it changes nothing" } else { "it changes files" },
            writes: &tool.writes,
            cwd: &request.locations.cwd,
            workspace: &self.workspace,
            home: Some(&self.home),
            declared: request.declared.as_ref().map(|(risk, _)| *risk),
        };
        approval::judge_tool(&call, authority, &self.host)
    }
}

impl Executions for Commands {
    fn concerns(&self, program: &Path) -> bool {
        approval::concerns_program(&self.rules, program)
    }

    fn judge(&self, execution: &Execution) -> Standing {
        let argv: Vec<&OsStr> = execution.argv.iter().map(|word| word.as_os_str()).collect();
        let execution = approval::Execution {
            program: &execution.program,
            argv: &argv,
            cwd: &execution.cwd,
            workspace: &self.workspace,
            home: Some(&self.home),
        };
        match approval::judge_argv(&self.rules, &execution, &self.host) {
            None => Standing::Free,
            Some(found) if found.decision == Decision::Refuse => Standing::Refuse { rule: found.rule },
            Some(_) if self.approving == Approving::Skipped => Standing::Free,
            Some(found) => Standing::Ask { rule: found.rule, reason: found.reason },
        }
    }
}

/// Asks whether a request may start, and waits: nothing runs meanwhile.
pub(super) fn ask(request: &RunRequest, verdict: &Verdict, asker: &Arc<dyn Asker>) -> (Question, Answer) {
    let question = question(request, verdict);
    let asked = Asked {
        id: 0,
        question: Arc::new(question.clone()),
        process: Process { pid: 0, program: String::new(), argv: request.subject.words() },
        request: request.subject.line(),
    };
    let (give, answer) = mpsc::channel();
    asker.ask(
        Arc::new(asked),
        Box::new(move |answer| {
            // A run that was given up waits no more.
            let _ = give.send(answer);
        }),
    );
    // An asker that goes away without a word denies.
    (question, answer.recv().unwrap_or(Answer::Deny))
}

fn question(request: &RunRequest, verdict: &Verdict) -> Question {
    let rule = verdict.rule.clone().unwrap_or_else(|| Rule {
        text: "the autonomy level".to_owned(),
        source: Arc::new(Source { layer: Layer::Default, file: None, line: None }),
    });
    let mut question = Question::command(request.subject.words(), rule, verdict.reason.clone());
    if verdict.ground == Ground::Risk && !matches!(request.subject, Subject::Tool(_)) {
        question.offer_always_command();
    }
    question
}

/// Why a refused request was refused, and what would allow it: one line.
pub(super) fn refusal(request: &RunRequest, verdict: &Verdict) -> RunError {
    let hint = match verdict.ground {
        Ground::Blocklist => "take the entry out of commandBlocklist".to_owned(),
        Ground::SpecMode => "leave spec mode".to_owned(),
        Ground::Denylist | Ground::Interlock => "run it where somebody can answer".to_owned(),
        Ground::Allowlist | Ground::Risk => {
            let level = verdict.risk.level().word();
            if matches!(request.subject, Subject::Tool(_)) {
                return RunError::Refused { reason: verdict.reason.clone(), hint: format!("--auto {level}") };
            }
            format!("--auto {level}, or: askance allow command '{}'", request.subject.line())
        }
    };
    RunError::Refused { reason: verdict.reason.clone(), hint }
}

const SKIPPED: &str = "approval is skipped (--skip-permissions-unsafe)";

/// May approval be skipped here?
pub(super) fn may_skip(settings: &settings::Approval) -> Result<(), RunError> {
    let clamped = settings.max_autonomy_level.as_ref().is_some_and(|most| most.value < AutonomyLevel::High);
    let key = match (settings.forbid_skip_permissions, clamped) {
        (true, _) => "forbidSkipPermissions",
        (_, true) => "maxAutonomyLevel",
        (false, false) => return Ok(()),
    };
    let reason = format!("{key} does not let --skip-permissions-unsafe skip approval");
    Err(RunError::Refused { reason, hint: "--auto LEVEL instead, as far as it reaches".to_owned() })
}

/// Says it where somebody sees it, and in the report.
pub(super) fn warn_of_skipping(journal: &Journal) {
    eprintln!("askance: WARNING: {SKIPPED}: only the block list and the sandbox hold this command");
    journal.note(SKIPPED);
}

/// The decision about a request that would have been asked about.
pub(super) fn skipped(verdict: &Verdict) -> journal::Decision {
    let mut decision = decision(verdict);
    decision.verdict = Decision::Allow.word().to_owned();
    decision.reason = format!("{SKIPPED}: {}", verdict.reason);
    decision
}

/// The decision in the report's words.
pub(super) fn decision(verdict: &Verdict) -> journal::Decision {
    journal::Decision {
        verdict: verdict.decision.word().to_owned(),
        risk: Some(verdict.risk.word().to_owned()),
        declared_risk: verdict.declared_risk.map(|risk| risk.word().to_owned()),
        assessed_risk: Some(verdict.assessed_risk.word().to_owned()),
        reason: verdict.reason.clone(),
        rule: verdict.rule.as_ref().map(rule),
    }
}

fn rule(rule: &Rule) -> RuleReport {
    RuleReport { text: rule.text.clone(), source: rule.source.to_string() }
}

/// The question about the start itself, in the report's words.
pub(super) fn record(question: &Question, answer: &Answer) -> QuestionRecord {
    QuestionRecord {
        operation: question.operation.word(),
        target: question.target.to_string(),
        reason: question.reason.to_string(),
        rule: question.reason.rule().map(rule),
        process: ProcessReport::default(),
        answer: answer.word(),
        scope: None,
        waited: Duration::ZERO,
    }
}
