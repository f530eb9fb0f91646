//! What the command line may say to the subcommands that agents use. Declares; does nothing.

use clap::{Args, Subcommand};

use super::args::{ApprovalFlags, RunFlags, level};
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
