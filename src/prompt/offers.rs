//! A question as another program is asked it: its details, and its answers as options with ids.

use crate::journal::ProcessReport;
use crate::journal::event::{Ask, Choice, ChoiceKind, Details, DetailsKind, ViolationType};
use crate::policy::{Answer, Operation, Place, Question, Reason, Scope};
use crate::supervisor::context::{Asked, Process};

/// Bytes of a command line that are told, and of one of its words.
const TOLD_MAX: usize = 16 << 10;

/// What may be answered, in the order of the question. Denying is always possible.
pub fn options(question: &Question) -> Vec<(Choice, Answer)> {
    let offered = question.offers.iter().filter(|offer| !question.organisation || matches!(offer, Answer::Deny));
    let mut options: Vec<_> = offered.map(|answer| (choice(question, answer), answer.clone())).collect();
    if !options.iter().any(|(_, answer)| *answer == Answer::Deny) {
        options.push((choice(question, &Answer::Deny), Answer::Deny));
    }
    options
}

/// The whole question.
pub fn ask(asked: &Asked, question_id: String, options: &[(Choice, Answer)]) -> Ask {
    let details = details(&asked.question);
    Ask {
        question_id,
        title: format!("{} {}", details.operation_type, details.target),
        request: cut(&asked.request),
        process: process(&asked.process),
        details,
        options: options.iter().map(|(choice, _)| choice.clone()).collect(),
    }
}

fn details(question: &Question) -> Details {
    let kind = match question.operation {
        Operation::Command => DetailsKind::Exec,
        _ => DetailsKind::SandboxViolation,
    };
    let violation_type = match question.reason {
        Reason::NotListed => ViolationType::NotListed,
        Reason::Denied(_) => ViolationType::Denied,
        Reason::PrivateAddress => ViolationType::PrivateAddress,
        Reason::Command { .. } => ViolationType::Command,
        Reason::NotOurs => ViolationType::NotOurs,
    };
    let policy = if question.organisation { " (organisation policy)" } else { "" };
    Details {
        kind,
        operation_type: question.operation.word().to_owned(),
        target: cut(&question.target.to_string()),
        violation_type,
        violation_reason: cut(&format!("{}{policy}", question.reason)),
        is_org_deny: question.organisation,
        rule_source: question.reason.rule().map(|rule| rule.source.to_string()),
    }
}

fn choice(question: &Question, answer: &Answer) -> Choice {
    let place = |place: &Place| match place {
        Place::Project => ("project", "this project"),
        Place::User => ("user", "all your projects"),
    };
    let reach = |answer| question.grant(answer).map_or_else(|| question.target.to_string(), |grant| grant.entry);
    let (option_id, name, kind) = match answer {
        Answer::Once => ("once".to_owned(), "Allow once".to_owned(), ChoiceKind::AllowOnce),
        Answer::Run => ("run".to_owned(), "Allow for this run".to_owned(), ChoiceKind::AllowAlways),
        Answer::Session => ("session".to_owned(), "Allow for this session".to_owned(), ChoiceKind::AllowAlways),
        Answer::Always { scope, place: at, .. } => {
            let (word, whose) = place(at);
            let name = match scope {
                Scope::Command => format!("Always allow this command, for {whose}"),
                _ => format!("Always allow {}, for {whose}", cut(&reach(answer))),
            };
            (format!("always:{}:{word}", scope.word()), name, ChoiceKind::AllowAlways)
        }
        Answer::Raise { level } => {
            ("raise".to_owned(), format!("Allow everything of level {}", level.word()), ChoiceKind::AllowAlways)
        }
        Answer::Unlist => {
            ("unlist".to_owned(), "Remove the rule that asks from its file".to_owned(), ChoiceKind::AllowAlways)
        }
        Answer::Deny => ("deny".to_owned(), "Deny".to_owned(), ChoiceKind::RejectOnce),
        Answer::Never { place: at } => {
            let (word, whose) = place(at);
            (format!("never:{word}"), format!("Always deny, for {whose}"), ChoiceKind::RejectAlways)
        }
    };
    Choice { option_id, name, kind }
}

fn process(process: &Process) -> ProcessReport {
    let mut left = TOLD_MAX;
    let told = |word: &String| {
        let word = cut(word);
        left = left.checked_sub(word.len())?;
        Some(word)
    };
    let argv = process.argv.iter().map_while(told).collect();
    ProcessReport { pid: process.pid, program: cut(&process.program), argv }
}

/// Both ends: a flood must not push either out of sight.
fn cut(text: &str) -> String {
    if text.len() <= TOLD_MAX {
        return text.to_owned();
    }
    let half = TOLD_MAX / 2;
    let is_whole = |&at: &usize| text.is_char_boundary(at);
    let head = (0..=half).rev().find(is_whole).unwrap_or(0);
    let tail = (text.len() - half..=text.len()).find(is_whole).unwrap_or(text.len());
    format!("{} [{} bytes not shown] {}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;

    fn question(offers: Vec<Answer>, organisation: bool) -> Question {
        Question {
            operation: Operation::Write,
            target: Target::Path("/srv/out/f".into()),
            reason: Reason::NotListed,
            offers,
            organisation,
        }
    }

    #[test]
    fn every_answer_has_an_id_of_its_own_and_a_kind() {
        let always = |scope, place| Answer::Always { scope, place, root: None };
        let offers = vec![
            Answer::Once,
            Answer::Run,
            Answer::Session,
            always(Scope::File, Place::Project),
            always(Scope::File, Place::User),
            always(Scope::Directory, Place::User),
            Answer::Unlist,
            Answer::Never { place: Place::User },
            Answer::Deny,
        ];
        let options = options(&question(offers.clone(), false));
        assert_eq!(options.iter().map(|(_, answer)| answer.clone()).collect::<Vec<_>>(), offers);
        let shown: Vec<_> = options.iter().map(|(choice, _)| (choice.option_id.as_str(), choice.kind)).collect();
        use ChoiceKind::{AllowAlways, AllowOnce, RejectAlways, RejectOnce};
        assert_eq!(
            shown,
            [
                ("once", AllowOnce),
                ("run", AllowAlways),
                ("session", AllowAlways),
                ("always:file:project", AllowAlways),
                ("always:file:user", AllowAlways),
                ("always:directory:user", AllowAlways),
                ("unlist", AllowAlways),
                ("never:user", RejectAlways),
                ("deny", RejectOnce),
            ]
        );
        assert_eq!(options[5].0.name, "Always allow /srv/out, for all your projects");
    }

    #[test]
    fn an_organisations_question_can_only_be_denied() {
        for offers in [vec![Answer::Once, Answer::Deny], vec![]] {
            let options = options(&question(offers, true));
            assert_eq!(options.iter().map(|(choice, _)| choice.option_id.as_str()).collect::<Vec<_>>(), ["deny"]);
        }
    }

    #[test]
    fn floods_of_arguments_are_cut_and_both_ends_stay() {
        let long = format!("a{}z", "ü".repeat(TOLD_MAX));
        let shown = cut(&long);
        assert!(shown.len() < TOLD_MAX + 64 && shown.starts_with('a') && shown.ends_with('z'), "{}", shown.len());
        let argv = vec!["x".repeat(1000); 1000];
        let told = process(&Process { pid: 1, program: "p".into(), argv });
        assert_eq!(told.argv.len(), TOLD_MAX / 1000);
    }
}
