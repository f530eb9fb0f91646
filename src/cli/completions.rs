//! `askance completions` and `askance man`: generated from the command line's definition.

use clap::CommandFactory;

use super::args::Cli;
use super::{Outcome, print};

/// A page was asked for that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no subcommand {name:?}")]
struct Unknown {
    name: String,
}

pub(super) fn print_for(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "askance", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// The page of askance, or of one subcommand as `askance-NAME`.
pub(super) fn manual(subcommand: Option<&str>) -> Outcome {
    let mut command = Cli::command();
    // Gives subcommands their usage lines.
    command.build();
    let page = match subcommand {
        None => clap_mangen::Man::new(command),
        Some(name) => {
            let found = command.find_subcommand(name).ok_or_else(|| Unknown { name: name.to_owned() })?;
            clap_mangen::Man::new(found.clone()).title(format!("askance-{name}"))
        }
    };
    let mut text = Vec::new();
    page.render(&mut text)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
