//! A subcommand's arguments, described only when that subcommand is named: every start parses one.

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// `T`, described late.
#[derive(Debug)]
pub struct Deferred<T>(pub T);

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_args_for_update))
    }
}

/// What the subcommand says of itself stands: its arguments' own words would come later and win.
fn described(command: Command, augment: fn(Command) -> Command) -> Command {
    let (about, long_about) = (command.get_about().cloned(), command.get_long_about().cloned());
    let mut command = augment(command);
    if let Some(about) = about {
        command = command.about(about).long_about(None);
    }
    match long_about {
        Some(long_about) => command.long_about(long_about),
        None => command,
    }
}
