//! `askance serve`: JSON-RPC on standard streams or a socket.

use std::path::{Path, PathBuf};

use super::agent_args::ServeArgs;
use super::flags::PolicyFlags;
use super::layers::LayersError;
use super::{Outcome, layers, print};
use crate::server::{self, Config, Token};

pub(super) fn run(args: &ServeArgs) -> Outcome {
    if args.schema {
        print(&format!("{:#}\n", server::schema()))?;
        return Ok(0);
    }
    // Named, because a server has no workspace of its own, and may be started anywhere.
    let workspace = layers::locations(None, None)?.workspace;
    let (locations, settings) =
        layers::load(&PolicyFlags { workspace: Some(workspace.clone()), ..PolicyFlags::default() })?;
    let config = Config {
        settings: settings.server,
        approval: settings.approval,
        locations,
        workspaces: workspaces(&args.workspace, workspace)?,
        private: args.approver_token.iter().filter_map(|path| path.canonicalize().ok()).collect(),
        token: args.approver_token.as_deref().map(Token::load).transpose()?,
        // The very program, also when a newer one has taken its name.
        program: PathBuf::from("/proc/self/exe"),
    };
    match &args.socket {
        Some(socket) => server::on_socket(config, socket)?,
        None => server::on_standard_streams(config)?,
    }
    Ok(0)
}

/// Real paths; all of `/` only where somebody names it.
fn workspaces(named: &[PathBuf], usual: PathBuf) -> Result<Vec<PathBuf>, LayersError> {
    if named.is_empty() {
        return Ok(Some(usual).filter(|usual| usual != Path::new("/")).into_iter().collect());
    }
    named.iter().map(|named| Ok(layers::bounded(Some(named), None)?.workspace)).collect()
}
