//! What the tests of this module share: locations in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::Locations;

pub(crate) struct Place {
    _root: tempfile::TempDir,
    pub(crate) locations: Locations,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let home = real.join("home");
        let workspace = real.join("work");
        fs::create_dir(&home).unwrap();
        fs::create_dir(&workspace).unwrap();
        let locations = Locations {
            config_home: home.join(".config"),
            state_home: home.join(".local/state"),
            cache_home: home.join(".cache"),
            runtime_dir: None,
            cwd: workspace.clone(),
            organisation: real.join("etc/askance/settings.json"),
            workspace,
            home,
        };
        Self { _root: root, locations }
    }

    pub(crate) fn write(&self, path: &Path, text: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        path.to_owned()
    }
}
