//! Which keys a question offers, and what each of them answers.

use crate::policy::{Answer, Place, Question, Scope};

/// What a key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Press {
    Answer(Answer),
    /// The other settings file was chosen.
    Place,
    Nothing,
}

/// The answers of one question, with the place that "always" is written to.
#[derive(Debug, Clone)]
pub(super) struct Menu {
    offers: Vec<Answer>,
    place: Option<Place>,
    both_places: bool,
}

impl Menu {
    pub(super) fn new(question: &Question) -> Self {
        let mut offers = if question.organisation { Vec::new() } else { question.offers.clone() };
        // Denying is always possible.
        if !offers.contains(&Answer::Deny) {
            offers.push(Answer::Deny);
        }
        let offered = |wanted: Place| offers.iter().any(|offer| place_of(offer) == Some(wanted));
        let (project, user) = (offered(Place::Project), offered(Place::User));
        let place = match (project, user) {
            (true, _) => Some(Place::Project),
            (false, true) => Some(Place::User),
            (false, false) => None,
        };
        Self { offers, place, both_places: project && user }
    }

    /// Where "always" would be written, if anything can be.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// The place that is not chosen, where it can be chosen.
    pub(super) fn other_place(&self) -> Option<Place> {
        match self.place {
            Some(place) if self.both_places => Some(other(place)),
            _ => None,
        }
    }

    /// The answers offered now, with their keys, in the order of the question.
    pub(super) fn options(&self) -> impl Iterator<Item = (char, &Answer)> {
        self.offers
            .iter()
            .filter(|offer| place_of(offer).is_none_or(|place| Some(place) == self.place))
            .map(|offer| (key(offer), offer))
    }

    pub(super) fn press(&mut self, pressed: char) -> Press {
        if pressed == 'u'
            && let Some(place) = self.other_place()
        {
            self.place = Some(place);
            return Press::Place;
        }
        match self.options().find(|(key, _)| *key == pressed) {
            Some((_, answer)) => Press::Answer(answer.clone()),
            None => Press::Nothing,
        }
    }
}

fn other(place: Place) -> Place {
    match place {
        Place::Project => Place::User,
        Place::User => Place::Project,
    }
}

fn place_of(answer: &Answer) -> Option<Place> {
    match answer {
        Answer::Always { place, .. } | Answer::Never { place } => Some(*place),
        _ => None,
    }
}

fn key(answer: &Answer) -> char {
    match answer {
        Answer::Once => 'y',
        Answer::Run => 'r',
        Answer::Session => 's',
        Answer::Always { scope, .. } => match scope {
            Scope::File | Scope::Socket => 'f',
            Scope::Directory | Scope::Domain => 'd',
            Scope::Subdomains => 'w',
            Scope::Port => 'p',
            Scope::Command => 'a',
        },
        Answer::Raise { .. } => 'l',
        Answer::Unlist => 'x',
        Answer::Deny => 'n',
        Answer::Never { .. } => 'N',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Operation, Reason, Target};

    fn menu(offers: Vec<Answer>) -> Menu {
        Menu::new(&Question {
            operation: Operation::Read,
            target: Target::Path("/a".into()),
            reason: Reason::NotListed,
            offers,
            organisation: false,
        })
    }

    fn always(scope: Scope, place: Place) -> Answer {
        Answer::Always { scope, place, root: None }
    }

    #[test]
    fn keys_answer_what_is_offered_and_nothing_else() {
        let mut menu = menu(vec![Answer::Once, Answer::Deny]);
        assert_eq!(menu.press('y'), Press::Answer(Answer::Once));
        assert_eq!(menu.press('n'), Press::Answer(Answer::Deny));
        for pressed in ['r', 's', 'f', 'd', 'N', 'Y', 'u', ' ', 'x'] {
            assert_eq!(menu.press(pressed), Press::Nothing, "{pressed:?}");
        }
    }

    #[test]
    fn always_goes_to_the_project_until_the_other_place_is_chosen() {
        let mut menu = menu(vec![
            always(Scope::File, Place::Project),
            always(Scope::File, Place::User),
            Answer::Never { place: Place::User },
        ]);
        assert_eq!(menu.press('f'), Press::Answer(always(Scope::File, Place::Project)));
        assert_eq!(menu.press('N'), Press::Nothing);
        assert_eq!(menu.press('u'), Press::Place);
        assert_eq!(menu.press('f'), Press::Answer(always(Scope::File, Place::User)));
        assert_eq!(menu.press('N'), Press::Answer(Answer::Never { place: Place::User }));
    }

    #[test]
    fn a_single_place_is_not_chosen() {
        let mut menu = menu(vec![always(Scope::File, Place::User)]);
        assert_eq!((menu.place(), menu.other_place()), (Some(Place::User), None));
        assert_eq!(menu.press('u'), Press::Nothing);
    }

    #[test]
    fn an_organisations_question_can_only_be_denied() {
        let mut question = Question {
            operation: Operation::Read,
            target: Target::Path("/a".into()),
            reason: Reason::NotListed,
            offers: vec![Answer::Once],
            organisation: true,
        };
        let mut menu = Menu::new(&question);
        assert_eq!(menu.press('y'), Press::Nothing);
        assert_eq!(menu.press('n'), Press::Answer(Answer::Deny));
        question.offers.clear();
        assert_eq!(Menu::new(&question).press('n'), Press::Answer(Answer::Deny));
    }

    #[test]
    fn no_two_answers_to_one_question_share_a_key() {
        let paths = [Scope::File, Scope::Directory];
        let hosts = [Scope::Domain, Scope::Subdomains, Scope::Port];
        for scopes in [&paths[..], &hosts, &[Scope::Socket], &[Scope::Command]] {
            let mut offers = vec![Answer::Once, Answer::Run, Answer::Session, Answer::Unlist, Answer::Deny];
            offers.push(Answer::Raise { level: crate::settings::AutonomyLevel::Medium });
            offers.extend(scopes.iter().map(|&scope| always(scope, Place::User)));
            offers.push(Answer::Never { place: Place::User });
            let mut keys: Vec<char> = menu(offers.clone()).options().map(|(key, _)| key).collect();
            keys.push('u');
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), offers.len() + 1);
        }
    }
}
