//! What targets, processes and answers are called.

use std::path::Path;

use super::Face;
use super::text::{Chunk, Style, literal};
use crate::policy::{Answer, Place, Question, Scope, Target, UnixName};
use crate::prompt::sanitize::visible;
use crate::supervisor::context::Process;

/// Longest command line that is looked at.
pub(super) const COMMAND_LINE: usize = 4096;

impl Face {
    pub(super) fn shown(&self, bytes: &[u8], style: Style) -> Chunk {
        visible(bytes, self.charset).into_iter().map(|unit| (unit, style)).collect()
    }

    /// What "always" would reach.
    pub(super) fn reach(&self, question: &Question, answer: &Answer) -> Chunk {
        let plain = |text| literal(text, Style::Plain);
        let Answer::Always { scope, root, .. } = answer else { return Chunk::new() };
        match scope {
            Scope::File => plain("this path"),
            Scope::Socket => plain("this socket"),
            Scope::Command => plain("this command"),
            Scope::Directory => {
                let directory = match (&question.target, root) {
                    (_, Some(root)) => Some(root.as_path()),
                    (Target::Path(path), None) => Some(path.parent().unwrap_or(path)),
                    _ => None,
                };
                let shown =
                    directory.map(|directory| self.shown(directory.as_os_str().as_encoded_bytes(), Style::Plain));
                [plain("all of "), shown.unwrap_or_else(|| plain("its directory"))].concat()
            }
            Scope::Domain | Scope::Subdomains | Scope::Port => match question.grant(answer) {
                Some(grant) => self.shown(grant.entry.as_bytes(), Style::Plain),
                None => plain(scope.word()),
            },
        }
    }

    /// The target as the line that an answer leaves behind names it.
    pub(super) fn short_target(&self, target: &Target) -> Chunk {
        if let (Target::Path(path), Some(home)) = (target, &self.home)
            && let Ok(rest) = path.strip_prefix(home)
            && home != Path::new("/")
        {
            let mut chunk = literal("~", Style::Plain);
            if !rest.as_os_str().is_empty() {
                chunk.extend(literal("/", Style::Plain));
                chunk.extend(self.shown(rest.as_os_str().as_encoded_bytes(), Style::Plain));
            }
            return chunk;
        }
        self.shown(&target_bytes(target), Style::Plain)
    }
}

pub(super) fn place_text(place: Place) -> &'static str {
    match place {
        Place::Project => "for this project",
        Place::User => "for all your projects",
    }
}

/// Paths and abstract names as their bytes: what is not UTF-8 shows as such.
pub(super) fn target_bytes(target: &Target) -> Vec<u8> {
    match target {
        Target::Path(path) | Target::Unix(UnixName::Path(path)) => path.as_os_str().as_encoded_bytes().to_vec(),
        Target::Unix(UnixName::Abstract(name)) => [b"@".as_slice(), name].concat(),
        Target::Resolved { name, address, port } => format!("{name}:{port} at {address}").into_bytes(),
        Target::Host { .. } | Target::Socket(_) => target.to_string().into_bytes(),
        Target::Command(argv) => {
            let line = command_line(argv).into_bytes();
            match line.len().checked_sub(COMMAND_LINE) {
                None | Some(0) => line,
                // Both ends: a flood of arguments must not push either out of sight.
                Some(more) => {
                    let half = COMMAND_LINE / 2;
                    let note = format!(" [{more} bytes not shown] ");
                    [&line[..half], note.as_bytes(), &line[line.len() - half..]].concat()
                }
            }
        }
    }
}

pub(super) fn process_line(process: &Process) -> Vec<u8> {
    format!("{} ({}): {}", process.program, process.pid, command_line(&process.argv)).into_bytes()
}

/// Words as a shell would have to be told them.
fn command_line(argv: &[String]) -> String {
    let safe = |character: char| {
        character.is_ascii_alphanumeric() || "%+,-./:=@_^~".contains(character) || !character.is_ascii()
    };
    let quoted = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(safe) {
            word.clone()
        } else if word.contains('\'') && !word.contains(['"', '$', '`', '\\', '!']) {
            format!("\"{word}\"")
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
