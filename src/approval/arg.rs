//! One argument of a command, as far as it is known before the run.

/// Stands in [`Arg::text`] for text that only the run will know.
pub(super) const UNKNOWN: char = '\0';
/// The same for a number.
pub(super) const NUMBER: char = '\u{1}';

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Arg {
    /// With [`UNKNOWN`] and [`NUMBER`] in the place of what is not known.
    pub(super) text: String,
    /// Unquoted `*`, `?` or `[` in it: stands for any number of file names.
    pub(super) glob: bool,
    /// Something was expanded to make it.
    pub(super) expanded: bool,
    /// May turn out to be no argument, or several.
    pub(super) many: bool,
}

impl Arg {
    pub(super) fn literal(text: &str) -> Arg {
        // Real arguments hold no NUL; an 0x01 in one is as good as unknown.
        Arg { text: text.to_owned(), ..Arg::default() }
    }

    /// Any text at all, any number of times.
    pub(super) fn anything() -> Arg {
        Arg { text: UNKNOWN.to_string(), glob: false, expanded: true, many: true }
    }

    /// Some file below a directory.
    pub(super) fn below(directory: &str) -> Arg {
        Arg { text: format!("{directory}/{UNKNOWN}"), glob: false, expanded: true, many: true }
    }

    /// The text, where all of it is known.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.glob && !self.text.contains([UNKNOWN, NUMBER])).then_some(&self.text)
    }

    pub(super) fn is_exactly(&self, text: &str) -> bool {
        self.exact() == Some(text)
    }

    /// Could what is not known of it make it an option?
    pub(super) fn may_become_option(&self) -> bool {
        match self.text.chars().next() {
            Some(UNKNOWN) => true,
            Some('*' | '?' | '[') => self.glob,
            Some('-') => self.exact().is_none(),
            Some(_) => false,
            None => false,
        }
    }

    /// For people: `…` where something is not known.
    pub(super) fn shown(&self) -> String {
        self.text.replace([UNKNOWN, NUMBER], "…")
    }
}

/// Words of a command that people are shown.
const MAX_SHOWN: usize = 200;

/// A command as far as it is known, for people.
pub(super) fn shown(argv: &[Arg]) -> Vec<String> {
    let mut words: Vec<String> = argv.iter().take(MAX_SHOWN).map(Arg::shown).collect();
    if argv.len() > MAX_SHOWN {
        words.push("…".to_owned());
    }
    words
}

/// The words of a command, where all of them are known.
pub(super) fn exactly(argv: &[Arg]) -> Option<Vec<String>> {
    // What was not UTF-8 is not known by its replacement.
    let word = |arg: &Arg| arg.exact().filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)).map(str::to_owned);
    argv.iter().map(word).collect()
}

/// The program's name without its directory.
pub(super) fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
