//! Documents of many layers → one [`Settings`], every value with its source.
//!
//! Scalars: the highest layer that has the key. Lists: the union, highest layer first. From a file
//! that nobody trusted only what narrows counts. Reads nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::{Effect, List};
use super::read::{At, Position};
use super::schema::{Capabilities, Document};
use super::{Layer, McpOverrides, Server, Settings, Source, Sourced};

/// Does everything in a document count?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Full,
    /// Only what narrows.
    Untrusted,
}

/// One document with the layer that it speaks for.
#[derive(Debug)]
pub(super) struct Layered {
    pub(super) layer: Layer,
    pub(super) file: Option<Arc<Path>>,
    pub(super) standing: Standing,
    pub(super) document: Document,
}

/// Something in a file that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    pub file: PathBuf,
    pub layer: Layer,
    pub reason: IgnoredBecause,
}

/// Why something in a file does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoredBecause {
    /// It could widen the policy, and nobody ran `askance trust` on this content.
    Untrusted,
    /// `sandbox.enabled: false` is the organisation's, the user's or a flag's to say.
    SwitchesSandboxOff,
}

/// A value that is not a list, as `askance settings show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `sandbox.limits.wallTimeMs`.
    pub key: String,
    pub value: serde_json::Value,
    pub source: Source,
}

impl Layered {
    fn source(&self, position: Position) -> Source {
        let line = (position.line > 0).then_some(position.line);
        Source { layer: self.layer, file: self.file.clone(), line }
    }

    fn sourced<T: Clone>(&self, at: &At<T>) -> Sourced<T> {
        Sourced { value: at.value.clone(), source: self.source(at.position) }
    }
}

/// Merges documents that stand in order of precedence, highest first.
pub(super) fn merge(layers: &[Layered]) -> Settings {
    let mut settings = Settings::default();
    for list in List::ALL {
        let merged = list.merged_mut(&mut settings);
        for layer in layers {
            if layer.standing == Standing::Full || list.effect() == Effect::Narrows {
                merged.extend(list.written(&layer.document).iter().map(|at| layer.sourced(at)));
            }
        }
    }
    let full: Vec<&Layered> = layers.iter().filter(|layer| layer.standing == Standing::Full).collect();
    merge_approval(&full, &mut settings);
    merge_sandbox(&full, &mut settings);
    settings.ignored = ignored(layers);
    settings
}

/// The value of a key in the highest layer that has it.
fn highest<T: Clone + serde::Serialize>(
    layers: &[&Layered],
    shown: &mut Vec<Shown>,
    key: &str,
    of: impl Fn(&Document) -> Option<&At<T>>,
) -> Option<Sourced<T>> {
    let found = layers.iter().find_map(|layer| of(&layer.document).map(|at| layer.sourced(at)))?;
    // A number, a word or a truth value always has a JSON form.
    let value = serde_json::to_value(&found.value).unwrap_or_default();
    shown.push(Shown { key: key.to_owned(), value, source: found.source.clone() });
    Some(found)
}

fn merge_approval(layers: &[&Layered], settings: &mut Settings) {
    let shown = &mut settings.scalars;
    let approval = &mut settings.approval;
    approval.autonomy_level = highest(layers, shown, "sessionDefaultSettings.autonomyLevel", |document| {
        document.session_default_settings.autonomy_level.as_ref()
    });
    approval.interaction_mode = highest(layers, shown, "sessionDefaultSettings.interactionMode", |document| {
        document.session_default_settings.interaction_mode.as_ref()
    });
    approval.max_autonomy_level =
        highest(layers, shown, "maxAutonomyLevel", |document| document.max_autonomy_level.as_ref());
    approval.subagent_autonomy_level =
        highest(layers, shown, "subagentAutonomyLevel", |document| document.subagent_autonomy_level.as_ref());
    approval.forbid_skip_permissions =
        highest(layers, shown, "forbidSkipPermissions", |document| document.forbid_skip_permissions.as_ref())
            .is_some_and(|found| found.value);
    let restricted = highest(layers, shown, "missionPolicy.restrictedAccess", |document| {
        document.mission_policy.restricted_access.as_ref()
    });
    let organisations = restricted.as_ref().is_some_and(|found| found.source.layer == Layer::Organisation);
    approval.mission_policy.restricted_access = restricted.is_some_and(|found| found.value);
    // Nobody but the organisation lets anybody past its own restriction.
    let mut may_name = layers.iter().filter(|layer| !organisations || layer.layer == Layer::Organisation);
    if let Some((layer, ids)) =
        may_name.find_map(|layer| Some((layer, layer.document.mission_policy.allowed_user_ids.as_ref()?)))
    {
        let ids = ids.iter().map(|at| layer.sourced(at));
        approval.mission_policy.allowed_user_ids = ids.collect();
    }
    approval.hooks.time_limit_ms =
        highest(layers, shown, "hooks.timeLimitMs", |document| document.hooks.time_limit_ms.as_ref())
            .map(|found| found.value);
    merge_server(layers, shown, &mut settings.server);
    for layer in layers {
        let hooks = &layer.document.hooks.pre_command;
        approval
            .hooks
            .pre_command
            .extend(hooks.iter().map(|at| Sourced { value: at.value.0.clone(), source: layer.source(at.position) }));
        for (name, server) in &layer.document.mcp_autonomy_overrides {
            let merged: &mut McpOverrides = approval.mcp_autonomy_overrides.entry(name.clone()).or_default();
            if merged.default_level.is_none() {
                merged.default_level = server.default_level.as_ref().map(|at| layer.sourced(at));
            }
            // No tool needs less than the organisation says of all the server's tools, but where it says so itself.
            let least = merged.default_level.clone();
            let least =
                least.filter(|least| layer.layer < least.source.layer && least.source.layer == Layer::Organisation);
            for (tool, level) in &server.tools {
                let level = layer.sourced(level);
                let level = least.clone().filter(|least| least.value > level.value).unwrap_or(level);
                merged.tools.entry(tool.clone()).or_insert(level);
            }
        }
    }
}

fn merge_server(layers: &[&Layered], shown: &mut Vec<Shown>, server: &mut Server) {
    let grace = highest(layers, shown, "server.gracePeriodMs", |document| document.server.grace_period_ms.as_ref());
    server.grace_period_ms = grace.map_or(0, |found| found.value);
    server.require_approver =
        highest(layers, shown, "server.requireApprover", |document| document.server.require_approver.as_ref())
            .is_some_and(|found| found.value);
}

fn merge_sandbox(layers: &[&Layered], settings: &mut Settings) {
    let shown = &mut settings.scalars;
    let sandbox = &mut settings.sandbox;
    let may_say_enabled: Vec<&Layered> = layers.iter().copied().filter(|layer| !switches_off(layer)).collect();
    sandbox.enabled = highest(&may_say_enabled, shown, "sandbox.enabled", |document| document.sandbox.enabled.as_ref())
        .is_none_or(|found| found.value);
    sandbox.keep_root_capabilities =
        highest(layers, shown, "sandbox.capabilities", |document| document.sandbox.capabilities.as_ref())
            .is_none_or(|found| found.value == Capabilities::Default);
    sandbox.network.allow_local_binding = highest(layers, shown, "sandbox.network.allowLocalBinding", |document| {
        document.sandbox.network.allow_local_binding.as_ref()
    })
    .is_some_and(|found| found.value);
    for layer in layers {
        let managers = &layer.document.sandbox.network.package_registries;
        let managers = managers.iter().map(|at| layer.sourced(at));
        sandbox.network.package_registries.extend(managers);
    }
    let limits = &mut sandbox.limits;
    let mut limit =
        |key: &str, of: fn(&Document) -> Option<&At<u64>>| highest(layers, shown, key, of).map(|found| found.value);
    limits.wall_time_ms = limit("sandbox.limits.wallTimeMs", |d| d.sandbox.limits.wall_time_ms.as_ref());
    limits.processes = limit("sandbox.limits.processes", |d| d.sandbox.limits.processes.as_ref());
    limits.memory_bytes = limit("sandbox.limits.memoryBytes", |d| d.sandbox.limits.memory_bytes.as_ref());
    limits.open_files = limit("sandbox.limits.openFiles", |d| d.sandbox.limits.open_files.as_ref());
    limits.output_bytes = limit("sandbox.limits.outputBytes", |d| d.sandbox.limits.output_bytes.as_ref());
}

/// A repository's file that says `sandbox.enabled: false`, trusted or not.
fn switches_off(layer: &Layered) -> bool {
    matches!(layer.layer, Layer::Project | Layer::Folder)
        && layer.document.sandbox.enabled.as_ref().is_some_and(|enabled| !enabled.value)
}

fn ignored(layers: &[Layered]) -> Vec<Ignored> {
    let mut found = Vec::new();
    for layer in layers {
        let Some(file) = &layer.file else { continue };
        let mut ignore = |reason| {
            found.push(Ignored { file: file.to_path_buf(), layer: layer.layer, reason });
        };
        if layer.standing == Standing::Untrusted && widens(&layer.document) {
            ignore(IgnoredBecause::Untrusted);
        }
        if switches_off(layer) {
            ignore(IgnoredBecause::SwitchesSandboxOff);
        }
    }
    found
}

/// Does the document say anything that counts only when it is trusted?
pub fn widens(document: &Document) -> bool {
    let lists = List::ALL.iter().filter(|list| list.effect() == Effect::Widens);
    let sandbox = &document.sandbox;
    let limits = &sandbox.limits;
    let defaults = &document.session_default_settings;
    let missions = &document.mission_policy;
    lists.into_iter().any(|list| !list.written(document).is_empty())
        || defaults.autonomy_level.is_some()
        || defaults.interaction_mode.is_some()
        || document.max_autonomy_level.is_some()
        || document.subagent_autonomy_level.is_some()
        || document.forbid_skip_permissions.is_some()
        || missions.restricted_access.is_some()
        || missions.allowed_user_ids.is_some()
        || !document.mcp_autonomy_overrides.is_empty()
        || !document.hooks.pre_command.is_empty()
        || document.hooks.time_limit_ms.is_some()
        || document.server.grace_period_ms.is_some()
        || document.server.require_approver.is_some()
        || sandbox.enabled.is_some()
        || sandbox.capabilities.is_some()
        || sandbox.network.allow_local_binding.is_some()
        || !sandbox.network.package_registries.is_empty()
        || limits.wall_time_ms.is_some()
        || limits.processes.is_some()
        || limits.memory_bytes.is_some()
        || limits.open_files.is_some()
        || limits.output_bytes.is_some()
}

/// askance's own files, wherever the user's directories are: blocked for writing.
pub(super) fn block_own_files(settings: &mut Settings, own: impl Iterator<Item = PathBuf>) {
    let source = Source::from(Layer::Default);
    let blocked = &mut settings.sandbox.filesystem.block_write;
    // A shipped profile's file is a name, not a path.
    for path in own.filter(|path| path.is_absolute()) {
        if let Some(value) = super::entry::literal(&path) {
            blocked.push(Sourced { value: value.into(), source: source.clone() });
        }
    }
}

/// The session's message bus: like the system's in the default list, but its place is the user's.
pub(super) fn hush_session_bus(settings: &mut Settings, runtime_dir: &Path) {
    let source = Source::from(Layer::Default);
    if let Some(value) = super::entry::literal(&runtime_dir.join("bus")) {
        settings.sandbox.network.quiet_unix_sockets.push(Sourced { value: value.into(), source });
    }
}
