//! Keeps an answer within what its question offers.

use crate::policy::{Answer, Question, Scope};

/// `wanted` where it is offered, else the widest offered answer that it includes: "always for the
/// directory" where only the file can be granted means the file, and where nothing can be written
/// down it lasts for the session. An answer that includes nothing offered is a denial.
pub(super) fn narrow(question: &Question, wanted: Answer) -> Answer {
    if question.organisation {
        return Answer::Deny;
    }
    let mut candidate = Some(wanted);
    while let Some(answer) = candidate {
        if let Some(offer) = question.offers.iter().find(|offer| same(offer, &answer)) {
            // How far the level is raised is the offer's business; the answer's would be wider or in vain.
            return if matches!(offer, Answer::Raise { .. }) { offer.clone() } else { answer };
        }
        candidate = next_narrower(&answer);
    }
    Answer::Deny
}

/// The directory that an answer names is the answerer's business, not the offer's.
fn same(offer: &Answer, answer: &Answer) -> bool {
    match (offer, answer) {
        (Answer::Always { scope: offered, place: there, .. }, Answer::Always { scope, place, .. }) => {
            (offered, there) == (scope, place)
        }
        (Answer::Raise { .. }, Answer::Raise { .. }) => true,
        _ => offer == answer,
    }
}

fn next_narrower(answer: &Answer) -> Option<Answer> {
    Some(match answer {
        Answer::Always { scope, place, .. } => {
            let narrower = match scope {
                Scope::Directory => Some(Scope::File),
                Scope::Subdomains => Some(Scope::Domain),
                Scope::Domain => Some(Scope::Port),
                Scope::File | Scope::Port | Scope::Socket | Scope::Command => None,
            };
            match narrower {
                Some(scope) => Answer::Always { scope, place: *place, root: None },
                None => Answer::Session,
            }
        }
        Answer::Session => Answer::Run,
        Answer::Run => Answer::Once,
        Answer::Never { .. } => Answer::Deny,
        Answer::Once | Answer::Raise { .. } | Answer::Unlist | Answer::Deny => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Operation, Place, Reason, Target};

    fn question(offers: Vec<Answer>) -> Question {
        Question {
            operation: Operation::Write,
            target: Target::Path("/srv/out/f".into()),
            reason: Reason::NotListed,
            offers,
            organisation: false,
        }
    }

    fn always(scope: Scope) -> Answer {
        Answer::Always { scope, place: Place::User, root: None }
    }

    #[test]
    fn an_answer_is_narrowed_to_what_is_offered_and_never_widened() {
        use crate::settings::AutonomyLevel::{High, Medium};
        use Answer::{Deny, Once, Run, Session};
        let raise = |level| Answer::Raise { level };
        let never = Answer::Never { place: Place::User };
        let table = [
            ("offered", vec![Once, always(Scope::File), Deny], always(Scope::File), always(Scope::File)),
            ("directory to file", vec![Once, always(Scope::File), Deny], always(Scope::Directory), always(Scope::File)),
            ("always to session", vec![Once, Run, Session, Deny], always(Scope::File), Session),
            ("always to once", vec![Once, Deny], always(Scope::Directory), Once),
            ("file is not directory", vec![always(Scope::Directory), Deny], always(Scope::File), Deny),
            ("once is not run", vec![Run, Deny], Once, Deny),
            ("never to deny", vec![Once, Deny], never.clone(), Deny),
            ("never", vec![Once, Deny, never.clone()], never.clone(), never),
            ("unlist", vec![Once, Deny], Answer::Unlist, Deny),
            ("raise as far as offered", vec![Once, raise(Medium), Deny], raise(High), raise(Medium)),
            ("raise where a rule asks", vec![Once, Deny], raise(High), Deny),
        ];
        for (name, offers, wanted, expected) in table {
            assert_eq!(narrow(&question(offers), wanted), expected, "{name}");
        }
    }

    #[test]
    fn the_place_is_part_of_the_answer() {
        let project = Answer::Always { scope: Scope::File, place: Place::Project, root: None };
        assert_eq!(narrow(&question(vec![Answer::Once, always(Scope::File)]), project), Answer::Once);
    }

    #[test]
    fn an_organisations_question_is_denied_whatever_it_offers() {
        let mut question = question(vec![Answer::Once]);
        question.organisation = true;
        assert_eq!(narrow(&question, Answer::Once), Answer::Deny);
    }
}
