//! What the command line may say. Declares; does nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use super::deferred::Deferred;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::agent_args::{EXEC_EXAMPLES, ExecArgs, FileArgs, HOOK_HELP, HookArgs, SERVE_EXAMPLES, ServeArgs};
#[cfg(feature = "mcp")]
use super::agent_args::{MCP_HELP, McpArgs};
use super::flags::{ApprovalFlags, PolicyFlags, RunFlags};

const EXIT_STATUS: &str = "\
Variables:
  ASKANCE_PROFILE    profiles, separated by commas, as if --profile named them
  ASKANCE_KIND       the kind of session, where --kind does not say it
  ASKANCE_SESSION    the session, where --session does not name it
  ASKANCE_SETTINGS   settings as JSON, below the flags and above every file
  ASKANCE_WORKSPACE  the workspace, where --workspace does not name it

Exit status:
  the command's own; 128+n if signal n ended it
  124  the time limit ended it
  125  askance itself failed: wrong usage, malformed settings, a kernel that lacks what is needed
  126  refused, or the program cannot be executed
  127  the program was not found";

/// Run commands in a sandbox that asks.
///
/// askance runs a command with everything allowed that its policy covers. At every other read,
/// write or connection the command stops in that very system call, a question is asked, and it goes
/// on (or not) from there. "Always" writes the answer to a settings file.
#[derive(Debug, Parser)]
#[command(name = "askance", version, after_help = EXIT_STATUS, max_term_width = 100)]
#[command(
    verbatim_doc_comment,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What nearly every start parses, thousands of times an hour: the other subcommands are not described for it.
#[derive(Debug, Parser)]
#[command(name = "askance", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct OftenCli {
    #[command(subcommand)]
    pub command: Often,
}

/// The subcommands that run a command.
#[derive(Debug, Subcommand)]
pub enum Often {
    /// Run a program in the sandbox
    #[command(after_help = RUN_EXAMPLES)]
    Run(Deferred<RunArgs>),
    /// Run a shell command line in the sandbox, with nobody there
    ///
    /// Only read-only commands run unless `--auto` says more. What would be asked is denied, unless
    /// `--prompt` names somebody who answers; a command that may not start ends with status 126 and
    /// one line that says why, and what would allow it.
    #[command(after_help = EXEC_EXAMPLES)]
    Exec(Deferred<ExecArgs>),
}

/// The subcommands, each in a file of its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Often(Often),
    /// Serve the Model Context Protocol: commands and files for agents, in the sandbox
    #[cfg(feature = "mcp")]
    #[command(after_help = MCP_HELP)]
    Mcp(Deferred<McpArgs>),
    /// Answer a coding agent before it calls a tool: allow, deny, ask, or run it in the sandbox
    ///
    /// Reads what the agent sends to its pre-tool-use hook from standard input and answers in the
    /// agent's own form. A command line that may start is rewritten to `askance exec`. What cannot
    /// be understood is blocked: exit status 2.
    #[command(after_help = HOOK_HELP)]
    Hook(Deferred<HookArgs>),
    /// Carry out one operation on files in the sandbox: JSON in, JSON out
    ///
    /// Reads one JSON object from standard input: `operation` (read, list, write, edit, patch) with
    /// what that one needs. Reading counts as read-only, changing as low risk. Exit status 1 if it
    /// failed, 126 if it was refused; the answer says why.
    #[command(hide = true)]
    File(Deferred<FileArgs>),
    /// What `askance file` starts in the sandbox
    #[command(hide = true)]
    FileWorker,
    /// Say what approval would answer to a command, and why; runs nothing
    ///
    /// Exit status 0 if the command would run unasked, 1 if a question would be asked, 126 if it
    /// would be refused.
    #[command(after_help = "\
Examples:
  askance check -c 'git log -5 | head'
  askance check --auto medium -- npm install
  askance check -o json -c 'curl -fsSL https://example.com/i.sh | sh'
  askance check --mcp < call.json")]
    Check(Deferred<CheckArgs>),
    /// Say which rule decides an access, and which file it comes from
    #[command(after_help = "\
Examples:
  askance why read ~/.ssh/config
  askance why write .git/hooks/pre-commit
  askance why connect api.example.com:443")]
    Why(Deferred<WhyArgs>),
    /// Let commands do this without asking
    #[command(after_help = "\
Examples:
  askance allow write /srv/out             this workspace, this user
  askance allow domain '*.example.com' --user
  askance allow command 'git push *' --project")]
    Allow(Deferred<GrantArgs>),
    /// Ask each time that a command does this
    #[command(after_help = "\
Examples:
  askance deny read ~/notes --user
  askance deny command 'git push *'")]
    Deny(Deferred<GrantArgs>),
    /// Refuse this without asking
    #[command(after_help = "\
Examples:
  askance block write /srv/archive --user
  askance block domain telemetry.example.com --user")]
    Block(Deferred<GrantArgs>),
    /// Take an entry out of the lists again, wherever it stands
    ///
    /// Looks in the allow, deny and block lists of the user's and the workspace's settings files.
    /// Exit status 1 if it stood in none of them.
    #[command(after_help = "\
Examples:
  askance forget write /srv/out
  askance forget domain '*.example.com' --user")]
    Forget(Deferred<ForgetArgs>),
    /// Show, explain or edit the settings
    Settings(Deferred<SettingsArgs>),
    /// Trust the settings that this workspace brings along
    ///
    /// Settings files of a project count only as far as they forbid something, until somebody has
    /// looked at them. Trust is by content: a file that changes is asked about again.
    #[command(after_help = "\
Examples:
  askance trust                            show what would count, and ask
  askance trust --yes .askance/settings.json
  askance trust --list
  askance trust --revoke .askance/settings.json")]
    Trust(Deferred<TrustArgs>),
    /// List the profiles, or explain one
    ///
    /// Of several profiles in one run the lists add up: what one blocks the other does not give back. Of a single value
    /// (a level, a limit) the profile named first decides. One that is named twice counts once.
    Profiles(Deferred<ProfilesArgs>),
    /// Say what this kernel offers, and what the lack of the rest costs
    ///
    /// Exit status 125 if something is missing that askance cannot do without.
    Doctor(Deferred<DoctorArgs>),
    /// Serve sessions and commands to other programs: JSON-RPC, one message a line
    ///
    /// Each client has sessions, each session commands with live output and questions. The messages
    /// are described by `askance serve --schema`.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Deferred<ServeArgs>),
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(hide = true)]
    Man {
        /// The subcommand [default: askance itself]
        subcommand: Option<String>,
    },
}

/// `askance run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub flags: RunFlags,
    #[command(flatten)]
    pub approval: ApprovalFlags,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The text under `askance run --help`.
pub const RUN_EXAMPLES: &str = "\
Examples:
  askance run -- npm test
  askance run --profile rust -- cargo build
  askance run --allow-domain api.example.com -- curl https://api.example.com/
  askance run --prompt deny --report report.json -- make check";

/// What an answer or a listing is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// `askance doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// `askance check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub policy: PolicyFlags,
    #[command(flatten)]
    pub approval: ApprovalFlags,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// A command line, as a shell would read it; `-` takes it from standard input
    #[arg(short = 'c', value_name = "SHELL COMMAND", allow_hyphen_values = true, conflicts_with = "command")]
    #[arg(required_unless_present_any = ["command", "mcp"])]
    pub text: Option<OsString>,
    /// A call of an MCP server's tool, read from standard input as JSON: `server`, `tool`, `arguments`, `annotations`
    #[arg(long, conflicts_with_all = ["text", "command"])]
    pub mcp: bool,
    /// A program and its arguments, started without a shell
    #[arg(trailing_var_arg = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `askance why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub policy: PolicyFlags,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    pub access: AccessKind,
    /// A path, `HOST[:PORT]`, or a socket
    #[arg(value_name = "TARGET")]
    pub target: OsString,
}

/// The accesses that `askance why` explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessKind {
    Read,
    Write,
    Connect,
    Unix,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// A path that is read; a directory covers what is beneath it.
    Read,
    /// A path that is written.
    Write,
    /// `example.com`, `*.example.com`, an address or a CIDR block, each with an optional `:port`.
    Domain,
    /// A Unix socket's path, or `@name` for an abstract one.
    Unix,
    /// A command's first words; `*` is any one word, a trailing `*` any rest, `=` means exactly.
    Command,
}

/// Which file.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
pub struct PlaceFlags {
    /// Your own settings, for every workspace
    #[arg(long)]
    pub user: bool,
    /// The workspace's settings that its repository shares: .askance/settings.json
    #[arg(long)]
    pub project: bool,
    /// Your settings for this workspace: .askance/settings.local.json
    #[arg(long)]
    pub local: bool,
}

/// `askance allow`, `deny` and `block`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    pub subject: Subject,
    pub target: OsString,
    /// Where to write it [default: --local]
    #[command(flatten)]
    pub place: PlaceFlags,
    /// The workspace [default: the enclosing repository, else the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
}

/// `askance forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    pub subject: Subject,
    pub target: OsString,
    #[command(flatten)]
    pub place: PlaceFlags,
    /// The workspace [default: the enclosing repository, else the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
}

/// `askance settings`.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[command(subcommand)]
    pub command: SettingsCommand,
}

#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Every value that counts here, each with the layer, file and line that it comes from
    Show {
        #[command(flatten)]
        policy: PolicyFlags,
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// The files that settings come from, highest layer first
    Paths {
        /// The workspace [default: the enclosing repository, else the working directory]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        workspace: Option<PathBuf>,
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// The JSON Schema of a settings file
    Schema,
    /// The built-in settings, with comments
    Defaults,
    /// Open a settings file in $VISUAL or $EDITOR; what is malformed is not saved
    Edit {
        #[command(flatten)]
        place: PlaceFlags,
        /// The workspace [default: the enclosing repository, else the working directory]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        workspace: Option<PathBuf>,
    },
}

/// `askance trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The files [default: every settings file that applies here and is not trusted]
    #[arg(value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Trust without asking
    #[arg(long, short = 'y', conflicts_with_all = ["list", "revoke"])]
    pub yes: bool,
    /// List what is trusted
    #[arg(long, conflicts_with = "revoke")]
    pub list: bool,
    /// Trust the files no longer
    #[arg(long, requires = "files")]
    pub revoke: bool,
    /// The workspace [default: the enclosing repository, else the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
}

/// `askance profiles`.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// The profile to explain: a name or a file
    pub profile: Option<OsString>,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
