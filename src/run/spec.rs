//! Spec mode's sandbox: it reads what may be read, and does nothing else.

use crate::settings::{Layer, Sandbox};

/// Takes every grant to write, connect or listen out of the settings; devices such as `/dev/null`
/// stay. What nothing allows is refused, because spec mode asks nobody.
pub(super) fn restrict(sandbox: &mut Sandbox) {
    let is_device = |layer: Layer, entry: &str| layer == Layer::Default && entry.starts_with("/dev/");
    sandbox.filesystem.allow_write.retain(|entry| is_device(entry.source.layer, &entry.value));
    sandbox.network.allowed_domains.clear();
    sandbox.network.allow_unix_sockets.clear();
    sandbox.network.allow_local_binding = false;
}
