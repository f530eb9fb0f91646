//! Every value that counts, flat, with its source.

use serde_json::{Value, json};

use super::{List, Settings, Shown, Sourced};

impl Settings {
    /// Every value of every key, in the order of the schema: one row for each entry of a list.
    pub fn all(&self) -> Vec<Shown> {
        let mut rows = self.scalars.clone();
        for list in List::ALL {
            rows.extend(list.merged(self).iter().map(|entry| row(list.path(), &entry.value, entry)));
        }
        let approval = &self.approval;
        for id in &approval.mission_policy.allowed_user_ids {
            rows.push(row("missionPolicy.allowedUserIds".to_owned(), &id.value, id));
        }
        for hook in &approval.hooks.pre_command {
            rows.push(row("hooks.preCommand".to_owned(), &hook.value, hook));
        }
        for (server, overrides) in &approval.mcp_autonomy_overrides {
            let key = format!("mcpAutonomyOverrides.{server}");
            if let Some(level) = &overrides.default_level {
                rows.push(row(format!("{key}.defaultLevel"), level.value, level));
            }
            for (tool, level) in &overrides.tools {
                rows.push(row(format!("{key}.tools.{tool}"), level.value, level));
            }
        }
        for manager in &self.sandbox.network.package_registries {
            rows.push(row("sandbox.network.packageRegistries".to_owned(), manager.value, manager));
        }
        rows
    }
}

/// What one document says besides its lists of strings.
pub fn scalars_of(document: &super::Document) -> Vec<Shown> {
    let alone = super::merge::Layered {
        layer: super::Layer::Runtime,
        file: None,
        standing: super::merge::Standing::Full,
        document: document.clone(),
    };
    let all = super::merge::merge(&[alone]).all();
    let lists: Vec<String> = List::ALL.iter().map(|list| list.path()).collect();
    all.into_iter().filter(|row| !lists.contains(&row.key)).collect()
}

fn row<T>(key: String, value: impl serde::Serialize, sourced: &Sourced<T>) -> Shown {
    // Strings, lists of them and words always have a JSON form.
    let value: Value = json!(value);
    Shown { key, value, source: sourced.source.clone() }
}
