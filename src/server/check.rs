//! `command/check`: asks a child askance, which runs nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::hub::Slot;
use super::rpc::RpcError;

/// A check that has been begun.
pub(super) struct Checking {
    pub(super) slot: Slot,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

impl Checking {
    /// What `askance check -o json` prints, or what it complains of.
    pub(super) async fn carry_out(self) -> Result<Value, RpcError> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg0("askance").args(&self.arguments).stdin(Stdio::null()).kill_on_drop(true);
        let finished = command.output().await.map_err(|error| RpcError::internal(format!("check: {error}")))?;
        drop(self.slot);
        serde_json::from_slice(&finished.stdout).map_err(|_| {
            let complaint = String::from_utf8_lossy(&finished.stderr);
            RpcError::internal(complaint.lines().next().unwrap_or("check said nothing"))
        })
    }
}
