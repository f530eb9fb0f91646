//! May the command start, and what it starts in turn: approval, wired to the settings and to the
//! supervisor.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use super::hooks::Opinion;
use super::{Approving, RunError, RunRequest, Subject, Tool};
use crate::approval::{
    self, Authority, BadPattern, Decision, Ground, Host, Refusal, Request, Risk, Rules, Spoken, Surroundings,
    ToolRequest, Verdict, exact_pattern,
};
use crate::journal::{self, Journal, ProcessReport, QuestionRecord, RuleReport};
use crate::policy::{self, Access, Answer, Change, NothingYet, Places, Question, Rule};
use crate::session::{CommandGrant, Form, Session};
use crate::settings::{self, AutonomyLevel, Layer, Settings, Source, Sourced};
use crate::supervisor::{Asked, Asker, Execution, Executions, Lasting, LivePolicy, Process, Standing};

/// The command lists of one run, for its whole tree.
pub(super) struct Commands {
    rules: Rules,
    lists: settings::Approval,
    host: Host<'static>,
    workspace: PathBuf,
    home: PathBuf,
    approving: Approving,
    session: Arc<Session>,
    /// The vector that was asked about before the start.
    answered: OnceLock<Spoken>,
}

impl Commands {
    pub(super) fn new(
        settings: &Settings,
        places: &Places,
        live: Arc<LivePolicy>,
        request: &RunRequest,
    ) -> Result<Self, BadPattern> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let writable = move |path: &Path| {
            let verdict = live.now().judge(&Access::Write(path, Change::Existing), &NothingYet);
            matches!(verdict, policy::Verdict::Allow(_))
        };
        Ok(Self {
            rules: rules(&settings.approval)?,
            lists: settings.approval.clone(),
            host: Host::new(path, request.locations.cwd.clone(), writable),
            workspace: places.workspace.clone(),
            home: places.home.clone(),
            session: Arc::clone(&request.session),
            answered: OnceLock::new(),
            approving: request.approving,
        })
    }

    /// What approval says of the request.
    pub(super) fn judge(&self, request: &RunRequest, authority: Authority) -> Verdict {
        self.judge_by(&self.rules, request, authority)
    }

    fn judge_by(&self, rules: &Rules, request: &RunRequest, authority: Authority) -> Verdict {
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
        approval::judge(rules, &request, authority, &self.host)
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

    /// The question that the verdict raises, with the answers that would take effect.
    pub(super) fn question(&self, request: &RunRequest, verdict: &Verdict, authority: Authority) -> Question {
        let rule = rule_of(verdict);
        let lasts = lasting(verdict.ground, &rule);
        let mut question = Question::command(request.subject.words(), rule, verdict.reason.clone());
        if lasts == Lasting::Session && grant_of(request).is_some() {
            question.offer(Answer::Session);
        }
        let needed = verdict.risk.level();
        if verdict.level_decides() && needed <= authority.ceiling {
            question.offer(Answer::Raise { level: needed });
        }
        if verdict.level_decides() && self.would_be_allowed(request, verdict, authority) {
            question.offer_always_command();
        }
        question
    }

    /// Would the request be on the allow list if each of its commands were?
    fn would_be_allowed(&self, request: &RunRequest, verdict: &Verdict, authority: Authority) -> bool {
        let source = Source::from(Layer::User);
        let entry = |words: &Vec<String>| Sourced { value: exact_pattern(words).into(), source: source.clone() };
        let mut lists = self.lists.clone();
        lists.command_allowlist.extend(verdict.coverable.iter().map(entry));
        let listed = |rules: Rules| self.judge_by(&rules, request, authority).ground == Ground::Allowlist;
        !verdict.coverable.is_empty() && rules(&lists).is_ok_and(listed)
    }

    /// Was the request allowed for the session, over the very rule that asks now?
    pub(super) fn allowed_in_session(&self, request: &RunRequest, verdict: &Verdict) -> bool {
        let rule = rule_of(verdict);
        lasting(verdict.ground, &rule) == Lasting::Session
            && grant_of(request)
                .is_some_and(|grant| self.session.allows_command(&CommandGrant { rule: rule.text(), ..grant }))
    }

    /// The verdict was answered: the vector that it speaks of may start without another question.
    pub(super) fn let_start(&self, verdict: &Verdict) {
        if verdict.decision == Decision::Ask
            && let Some(spoken) = &verdict.spoken
        {
            // Set once: there is one request.
            let _ = self.answered.set(spoken.clone());
        }
    }

    /// Was this very vector answered before the start, or for the session?
    fn is_answered(&self, execution: &Execution, found: &Refusal, lasts: Lasting) -> bool {
        let words: Option<Vec<String>> = execution.argv.iter().map(|word| word.to_str().map(str::to_owned)).collect();
        let Some(words) = words.filter(|words| self.is_called_by_its_name(execution, words)) else { return false };
        // What an interlock says depends on the directory: `rm -rf .`
        let there = |cwd: &Option<PathBuf>| found.ground != Ground::Interlock || cwd.as_ref() == Some(&execution.cwd);
        let before = self.answered.get().is_some_and(|spoken| spoken.argv == words && there(&spoken.cwd));
        let grant =
            CommandGrant { workspace: self.workspace.clone(), words, form: Form::Argv, rule: found.rule.text() };
        before || (lasts == Lasting::Session && self.session.allows_command(&grant))
    }

    /// Any file can be started with any words: the answer was about the program that the first word means.
    fn is_called_by_its_name(&self, execution: &Execution, words: &[String]) -> bool {
        let Some(name) = words.first() else { return false };
        let named = match name.contains('/') {
            true => Some(execution.cwd.join(name)),
            false => self.host.find_program(name),
        };
        named.and_then(|path| path.canonicalize().ok()).is_some_and(|path| path == execution.program)
    }
}

/// The stricter of approval's verdict and what the hooks said.
pub(super) fn with_opinion(mut verdict: Verdict, opinion: Option<Opinion>) -> Verdict {
    let Some(Opinion { decision, reason, rule }) = opinion else { return verdict };
    match (verdict.decision, decision) {
        (Decision::Refuse, _) | (_, Decision::Allow) => return verdict,
        // Both ask: one question, answered for this once.
        (Decision::Ask, Decision::Ask) if verdict.ground != Ground::Risk => {
            verdict.reason = format!("{}; {reason}", verdict.reason);
            return verdict;
        }
        (Decision::Ask, Decision::Ask) => verdict.reason = format!("{reason}; {}", verdict.reason),
        (_, stricter) => (verdict.decision, verdict.reason) = (stricter, reason),
    }
    (verdict.ground, verdict.rule) = (Ground::Hook, Some(rule));
    verdict
}

fn rules(lists: &settings::Approval) -> Result<Rules, BadPattern> {
    Rules::new(&lists.command_blocklist, &lists.command_denylist, &lists.command_allowlist)
}

/// An interlock and an organisation's rule ask each time.
fn lasting(ground: Ground, rule: &Rule) -> Lasting {
    match ground {
        Ground::Interlock | Ground::Hook => Lasting::Run,
        _ if rule.source.layer == Layer::Organisation => Lasting::Run,
        _ => Lasting::Session,
    }
}

/// The rule that asks; where none does, it is the level.
fn rule_of(verdict: &Verdict) -> Rule {
    verdict.rule.clone().unwrap_or_else(|| Rule::said("the autonomy level", Source::from(Layer::Default)))
}

/// The request as a session remembers it, but for the rule; `None` where it is not text.
pub(super) fn grant_of(request: &RunRequest) -> Option<CommandGrant> {
    let words = match &request.subject {
        Subject::Argv(argv) => argv.iter().map(|word| word.to_str().map(str::to_owned)).collect::<Option<_>>()?,
        Subject::Shell(text) => vec![text.to_str()?.to_owned()],
        Subject::Tool(tool) => vec![tool.line.clone()],
    };
    let form = match &request.subject {
        Subject::Argv(_) => Form::Argv,
        Subject::Shell(_) => Form::Shell,
        Subject::Tool(_) => Form::Tool,
    };
    Some(CommandGrant { workspace: request.locations.workspace.clone(), words, form, rule: String::new() })
}

impl Executions for Commands {
    fn concerns(&self, program: &Path) -> bool {
        approval::concerns_program(&self.rules, program)
    }

    fn judge(&self, execution: &Execution) -> Standing {
        let argv: Vec<&OsStr> = execution.argv.iter().map(|word| word.as_os_str()).collect();
        let started = approval::Execution {
            program: &execution.program,
            argv: &argv,
            cwd: &execution.cwd,
            workspace: &self.workspace,
            home: Some(&self.home),
        };
        let Some(found) = approval::judge_argv(&self.rules, &started, &self.host) else { return Standing::Free };
        let lasts = lasting(found.ground, &found.rule);
        match found.decision {
            Decision::Refuse => Standing::Refuse { rule: found.rule },
            _ if self.approving == Approving::Skipped => Standing::Free,
            _ if self.is_answered(execution, &found, lasts) => Standing::Free,
            _ => Standing::Ask { rule: found.rule, reason: found.reason, lasts },
        }
    }
}

/// Asks whether a request may start, and waits: nothing runs meanwhile.
pub(super) fn ask(request: &RunRequest, question: &Question, asker: &Arc<dyn Asker>) -> Answer {
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
    answer.recv().unwrap_or(Answer::Deny)
}

/// Why a refused request was refused, and what would allow it: one line.
pub(super) fn refusal(verdict: &Verdict, authority: Authority) -> RunError {
    let hint = match verdict.ground {
        Ground::Blocklist => "take the entry out of commandBlocklist".to_owned(),
        Ground::SpecMode => "leave spec mode".to_owned(),
        Ground::Hook => "do what the hook asks for".to_owned(),
        Ground::Denylist | Ground::Interlock => "run it where somebody can answer".to_owned(),
        Ground::Allowlist | Ground::Risk => {
            let level = verdict.risk.level();
            let mut ways = Vec::new();
            if level <= authority.ceiling {
                ways.push(format!("--auto {}", level.word()));
            }
            if !verdict.coverable.is_empty() {
                let patterns = verdict.coverable.iter().map(|words| journal::quoted(&exact_pattern(words)));
                ways.push(
                    patterns.map(|pattern| format!("askance allow command {pattern}")).collect::<Vec<_>>().join("; "),
                );
            }
            match ways.is_empty() {
                true => "it needs a higher maxAutonomyLevel".to_owned(),
                false => ways.join(", or: "),
            }
        }
    };
    RunError::Refused { reason: verdict.reason.clone(), hint }
}

const SKIPPED: &str = "approval is skipped (--skip-permissions-unsafe)";

/// May approval be skipped here?
pub(super) fn may_skip(settings: &settings::Approval, authority: Authority) -> Result<(), RunError> {
    let clamped = authority.ceiling < AutonomyLevel::High;
    let key = match (settings.forbid_skip_permissions, clamped) {
        (true, _) => "forbidSkipPermissions",
        (_, true) => "the highest level that this session may have",
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

/// The decision that nobody let the request start.
pub(super) fn refused(verdict: &Verdict) -> journal::Decision {
    journal::Decision { verdict: Decision::Refuse.word().to_owned(), ..decision(verdict) }
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
    RuleReport { text: rule.text(), source: rule.source.to_string() }
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
