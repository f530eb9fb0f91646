//! Commands inside the texts that other languages run: `awk` and `sed` scripts, `git -c alias.x='!…'`, `vim -c '!…'`,
//! one-liners of interpreters.
//!
//! These texts are not read as their languages read them. What could be a command in them is held against
//! the lists and interlocks; how risky they are is said elsewhere.

use super::known::Run;
use super::state::{Input, State};
use super::{MAX_COMMANDS, MAX_WORDS, Walk};
use crate::approval::arg::{Arg, base_name};
use crate::approval::interlock;
use crate::approval::languages::one_liner;
use crate::approval::programs::Reader;
use crate::approval::verdict::Risk;

/// Editors and pagers whose arguments may hold `!COMMAND`.
const ESCAPING: [&str; 18] = [
    "vim", "vi", "nvim", "ex", "view", "vimdiff", "rvim", "gvim", "ed", "emacs", "less", "more", "most", "man", "gdb",
    "lldb", "mutt", "nano",
];
/// Programs that start what stands at the end of their arguments, in ways of their own.
const TRAILING: [&str; 12] = [
    "bwrap",
    "capsh",
    "start-stop-daemon",
    "gdb",
    "lldb",
    "tmux",
    "screen",
    "zellij",
    "proot",
    "nspawn",
    "docker",
    "podman",
];

impl Walk<'_> {
    /// Looks for commands in the texts that a known program runs.
    pub(super) fn look_for_embedded(&mut self, run: &Run<'_>, reader: Option<&Reader>, state: &State, input: &Input) {
        if run.weighed.said.risk == Risk::ReadOnly && !matches!(reader, Some(Reader::Git | Reader::Sed | Reader::Awk)) {
            return;
        }
        let piped = || input.text.as_deref().into_iter();
        let args = &run.argv[1..];
        let texts: Vec<&str> = args.iter().filter_map(Arg::exact).collect();
        let mut found: Vec<String> = Vec::new();
        match reader {
            Some(Reader::Git) => found.extend(settings(run)),
            Some(Reader::Awk) => texts.iter().for_each(|text| found.extend(one_liner::commands(run.base, text))),
            Some(Reader::Sed) => texts.iter().for_each(|text| found.extend(sed_commands(text))),
            Some(Reader::Interpreter) => {
                let programs = texts.iter().copied().chain(piped());
                programs.for_each(|text| found.extend(one_liner::commands(run.base, text)));
            }
            _ if ESCAPING.contains(&run.base) => {
                found.extend(
                    texts.iter().filter_map(|text| text.split_once('!')).map(|(_, command)| command.to_owned()),
                );
                found.extend(texts.iter().filter_map(|text| text.strip_prefix("shell ")).map(str::to_owned));
            }
            _ => {}
        }
        match run.base {
            "expect" => {
                found.extend(texts.iter().filter_map(|text| text.split_once("spawn ")).map(|(_, text)| text.to_owned()))
            }
            "parallel" => found.extend(run.weighed.inner.as_ref().and_then(|inner| fed(&inner.argv, input))),
            "start-stop-daemon" => self.look_at_daemon(run, state),
            "at" | "batch" => found.extend(input.text.clone()),
            "deno" | "bun" | "osascript" => {
                texts.iter().for_each(|text| found.extend(one_liner::commands(run.base, text)));
            }
            "sqlite3" | "psql" | "mysql" | "mariadb" => {
                texts.iter().copied().chain(piped()).for_each(|text| found.extend(client_commands(text)));
            }
            "tmux" | "screen" => found.extend(texts.iter().map(|text| (*text).to_owned())),
            _ => {}
        }
        for text in found {
            if self.commands > MAX_COMMANDS || self.words > MAX_WORDS {
                self.undecidable("too many commands".into());
                break;
            }
            self.probe(run.base, &text, state);
        }
        if TRAILING.contains(&run.base) {
            self.look_at_endings(run.argv, state);
        }
    }

    /// Holds the commands of a text against lists and interlocks; what else is found in it does not count.
    pub(super) fn probe(&mut self, label: &str, text: &str, state: &State) {
        if !text.contains(|c: char| c.is_ascii_alphabetic()) {
            return;
        }
        self.probing(|walk| {
            walk.nested_script(label, text, state.clone(), &Input::default());
        });
    }

    /// Walks, and keeps of what it finds only what lists and interlocks say.
    pub(super) fn probing(&mut self, walk: impl FnOnce(&mut Self)) {
        let kept = std::mem::take(&mut self.out);
        let places = std::mem::take(&mut self.found);
        walk(self);
        let probed = std::mem::replace(&mut self.out, kept);
        self.found = places;
        self.out.blocked = self.out.blocked.take().or(probed.blocked);
        self.out.denied = self.out.denied.take().or(probed.denied);
        self.out.interlock = self.out.interlock.take().or(probed.interlock);
    }

    /// `start-stop-daemon --exec PROGRAM -- ARG…`
    fn look_at_daemon(&mut self, run: &Run<'_>, state: &State) {
        let named = |name: &str| matches!(name, "-x" | "--exec" | "-a" | "--startas");
        let programs = run.weighed.options.iter().filter(|(name, _)| named(name));
        for program in programs.filter_map(|(_, value)| value.clone()) {
            let args = run.weighed.operands.iter().map(|&at| run.argv[at + 1].clone());
            let argv: Vec<Arg> = std::iter::once(program).chain(args).collect();
            self.lists_and_interlocks(&argv, state);
        }
    }

    /// A program that is not known may start what its last arguments name.
    pub(super) fn look_at_endings(&mut self, argv: &[Arg], state: &State) {
        const WINDOW: usize = 16;
        for at in 1..argv.len().min(WINDOW) {
            let ending = &argv[at..];
            // One word alone is what a program does, rather than a program: `./service shutdown`.
            if ending.len() < 2 || !interlock::concerns(base_name(&ending[0].text)) {
                continue;
            }
            if let Some(interlock) = interlock::of(ending, &self.place(state)) {
                self.trip(interlock, ending, state);
            }
        }
    }
}

/// The values of `git -c KEY=VALUE`.
fn settings(run: &Run<'_>) -> Vec<String> {
    let values = run.weighed.options.iter().filter(|(name, _)| name == "-c").filter_map(|(_, value)| value.as_ref());
    let commands = values.filter_map(|value| value.exact()?.split_once('=').map(|(_, command)| command));
    commands.map(|command| command.strip_prefix('!').unwrap_or(command).to_owned()).collect()
}

/// What `e` and the flag `e` of `s` would run.
fn sed_commands(script: &str) -> Vec<String> {
    let mut found: Vec<String> = script.match_indices('e').map(|(at, _)| script[at + 1..].to_owned()).take(8).collect();
    if let Some(delimiter) = script.strip_prefix('s').and_then(|rest| rest.chars().next()) {
        found.extend(script.split(delimiter).nth(2).map(str::to_owned));
    }
    found
}

/// The command that `parallel` makes of input that is known.
fn fed(argv: &[Arg], input: &Input) -> Option<String> {
    let words: Option<Vec<&str>> = argv.iter().map(Arg::exact).collect();
    let (command, lines) = (words?.join(" "), input.text.as_deref()?);
    let all = lines.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(if command.contains("{}") { command.replace("{}", &all) } else { format!("{command} {all}") })
}

/// What a database's client runs in a shell: `.shell COMMAND`, `\! COMMAND`, `system COMMAND`.
fn client_commands(text: &str) -> Vec<String> {
    const RUN: [&str; 4] = [".shell ", ".system ", "\\!", "system "];
    let lines = text.lines().map(str::trim_start);
    lines.filter_map(|line| RUN.iter().find_map(|word| line.strip_prefix(word))).map(str::to_owned).collect()
}
