//! Parse, run, exit status: nothing else.
#![cfg_attr(all(target_env = "gnu", not(test)), no_main)]

askance::program!(askance::cli::main);
