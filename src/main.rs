//! Parse, run, exit status: nothing else.

fn main() -> std::process::ExitCode {
    askance::cli::main()
}
