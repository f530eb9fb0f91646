//! The places of a run that is measured or counted in this process, apart from the machine's own settings.

use std::fs;
use std::path::Path;

use askance::settings::Locations;

/// A home and a workspace beneath `base`, and where settings would be.
pub(crate) fn beneath(base: &Path) -> Locations {
    let at = |name: &str| base.join(name);
    for name in ["home", "work"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    Locations {
        home: at("home"),
        config_home: at("config"),
        state_home: at("state"),
        cache_home: at("cache"),
        runtime_dir: None,
        workspace: at("work"),
        cwd: at("work"),
        organisation: at("organisation/settings.json"),
    }
}
