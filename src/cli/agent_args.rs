//! What the command line may say to the subcommands that agents use. Declares; does nothing.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueHint};

use super::flags::{ApprovalFlags, PolicyFlags, RunFlags, level};
use crate::settings::AutonomyLevel;

/// `askance hook`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct HookArgs {
    #[command(subcommand)]
    pub command: Option<HookCommand>,
    /// The agent: claude-code, codex, copilot-cli, cursor, droid, gemini-cli, or one of your own
    #[arg(value_name = "AGENT", required = true)]
    pub name: Option<String>,
    /// The highest level, whatever the agent's permission mode says
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub auto: Option<AutonomyLevel>,
}

#[derive(Debug, Subcommand)]
pub enum HookCommand {
    /// Register the hook in the agent's settings; comments in them stay
    Install(HookInstallArgs),
}

/// `askance hook install`.
#[derive(Debug, Args)]
pub struct HookInstallArgs {
    /// The agent
    #[arg(long, value_name = "AGENT")]
    pub agent: String,
    /// In the workspace's settings of the agent [default: in yours]
    #[arg(long)]
    pub project: bool,
    /// The highest level that the hook allows, whatever the agent's permission mode says
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub auto: Option<AutonomyLevel>,
    /// Print what the settings file would say; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) const HOOK_HELP: &str = "\
Examples:
  askance hook install --agent claude-code --dry-run
  askance hook install --agent claude-code
  askance hook claude-code < call.json     what the agent runs

An agent of your own is a file: agents/AGENT.jsonc beside your settings file.";

/// `askance file`.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    #[command(flatten)]
    pub flags: RunFlags,
    #[command(flatten)]
    pub approval: ApprovalFlags,
}

/// `askance exec`.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub flags: RunFlags,
    #[command(flatten)]
    pub approval: ApprovalFlags,
    /// Give the command a pseudo-terminal: descriptor N is its master, standard input what is typed;
    /// with `-o json` or `-o stream-json`
    #[arg(long, value_name = "fd=N", value_parser = descriptor, requires = "output")]
    pub terminal: Option<RawFd>,
    /// The command line, for bash
    #[arg(short = 'c', value_name = "SHELL COMMAND", allow_hyphen_values = true)]
    #[arg(conflicts_with = "command", required_unless_present = "command")]
    pub text: Option<OsString>,
    /// A program and its arguments, started without a shell
    #[arg(trailing_var_arg = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Start it whatever its risk, also what the deny list or an interlock speaks of
    ///
    /// The block list and the sandbox hold, and what the command then reads, writes and reaches
    /// beyond its policy is asked about as ever. The organisation may forbid this.
    #[arg(long, conflicts_with = "spec")]
    pub skip_permissions_unsafe: bool,
}

fn descriptor(text: &str) -> Result<RawFd, &'static str> {
    let number = text.strip_prefix("fd=").and_then(|number| number.parse().ok());
    number.filter(|&number| number > 2).ok_or("expected fd=N, an inherited descriptor above 2")
}

/// The text under `askance exec --help`.
pub(crate) const EXEC_EXAMPLES: &str = "\
Examples:
  askance exec -c 'git log --oneline | head -5'
  askance exec --auto medium -c 'npm ci && npm test'
  askance exec --auto low -o json -c 'cargo fmt --check'
  askance exec --auto high -o stream-json --prompt fd=3 -c 'make' 3<answers";

/// `askance serve`.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("way").required(true).args(["stdio", "socket", "schema"]))]
pub struct ServeArgs {
    /// One client, on standard input and output
    #[arg(long)]
    pub stdio: bool,
    /// Any number of clients of this user, on a Unix socket in a private directory
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Where sessions work that no approver opened, with `server.requireApprover`; may be repeated
    /// [default: the enclosing repository, else the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Vec<PathBuf>,
    /// Print the JSON Schema of all messages
    #[arg(long)]
    pub schema: bool,
    /// Whoever shows the content of FILE answers the questions of every session
    #[arg(long, value_name = "FILE", requires = "socket", value_hint = ValueHint::FilePath)]
    pub approver_token: Option<PathBuf>,
}

/// The text under `askance serve --help`.
pub(crate) const SERVE_EXAMPLES: &str = "\
Examples:
  askance serve --stdio
  askance serve --socket ~/.askance-server/socket
  askance serve --socket ~/.askance-server/socket --approver-token ~/.askance-server/token --workspace ~/project
  askance serve --schema";

/// `askance mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    #[command(flatten)]
    pub policy: PolicyFlags,
    #[command(flatten)]
    pub approval: ApprovalFlags,
    /// Serve HTTP on this loopback address, at /mcp, instead of standard input and output; port 0: any
    #[arg(long, value_name = "ADDRESS:PORT", requires = "token_file")]
    pub http: Option<SocketAddr>,
    /// What HTTP clients have to show: a file that only you can read
    #[arg(long, value_name = "FILE", requires = "http", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
}

#[cfg(feature = "mcp")]
pub(super) const MCP_HELP: &str = "\
Examples:
  askance mcp --auto medium                in an agent's settings: a server on standard input and output
  askance mcp --http 127.0.0.1:8931 --token-file ~/.askance-token

Tools: run_command, check_command, read_file, list_directory, write_file, edit_file, apply_patch. Questions go to
clients that can be asked (elicitation); for others they are denied, with what would allow it.";
