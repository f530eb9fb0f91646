use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::settings::testing::Place;
use crate::settings::{IgnoredBecause, trust};

/// The layers that a file can stand for, highest first, each with its file.
fn files(place: &Place) -> Vec<(&'static str, PathBuf)> {
    let locations = &place.locations;
    vec![
        ("organisation", locations.organisation.clone()),
        ("near folder", locations.workspace.join("a/b/.askance/settings.json")),
        ("far folder", locations.workspace.join("a/.askance/settings.json")),
        ("project local", locations.local_file()),
        ("project", locations.project_file()),
        ("user", locations.user_file()),
    ]
}

fn place() -> Place {
    let mut place = Place::new();
    let cwd = place.locations.workspace.join("a/b/c");
    fs::create_dir_all(&cwd).unwrap();
    place.locations.cwd = cwd;
    place
}

fn trusted(place: &Place, file: &Path, text: &str) {
    place.write(file, text);
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    trust::remember(&place.locations, file, text.as_bytes()).unwrap();
}

fn load(place: &Place) -> Settings {
    Settings::load(&place.locations, Runtime::default()).unwrap()
}

/// An organisation's file counts only if root owns it, so these tests need root to write one.
fn layers_here(place: &Place) -> Vec<(&'static str, PathBuf)> {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root: the organisation's layer is left out");
    }
    files(place).into_iter().filter(|(layer, _)| root || *layer != "organisation").collect()
}

#[test]
fn a_scalar_is_the_highest_layers_and_says_so() {
    // Every scalar, with one value for the higher and one for the lower layer.
    let table = [
        ("sessionDefaultSettings.autonomyLevel", r#""low""#, r#""high""#),
        ("sessionDefaultSettings.interactionMode", r#""spec""#, r#""auto""#),
        ("maxAutonomyLevel", r#""low""#, r#""high""#),
        ("subagentAutonomyLevel", r#""off""#, r#""medium""#),
        ("forbidSkipPermissions", "true", "false"),
        ("missionPolicy.restrictedAccess", "true", "false"),
        ("mcpAutonomyOverrides.server.defaultLevel", r#""high""#, r#""low""#),
        ("mcpAutonomyOverrides.server.tools.tool", r#""high""#, r#""low""#),
        ("sandbox.capabilities", r#""none""#, r#""default""#),
        ("sandbox.network.allowLocalBinding", "false", "true"),
        ("hooks.timeLimitMs", "1", "2"),
        ("server.gracePeriodMs", "1", "2"),
        ("server.requireApprover", "true", "false"),
        ("sandbox.limits.wallTimeMs", "1", "2"),
        ("sandbox.limits.processes", "1", "2"),
        ("sandbox.limits.memoryBytes", "1", "2"),
        ("sandbox.limits.openFiles", "1", "2"),
        ("sandbox.limits.outputBytes", "1", "2"),
    ];
    for (key, higher, lower) in table {
        let place = place();
        let layers = layers_here(&place);
        for pair in layers.windows(2) {
            let [(upper, above), (under, below)] = pair else { unreachable!() };
            trusted(&place, below, &nested(key, lower));
            trusted(&place, above, &nested(key, higher));
            let shown = load(&place).all();
            let rows: Vec<_> = shown.iter().filter(|row| row.key == key).collect();
            assert_eq!(rows.len(), 1, "{key}: {upper} over {under}");
            assert_eq!(rows[0].value.to_string(), higher, "{key}: {upper} over {under}");
            assert_eq!(rows[0].source.file.as_deref(), Some(above.as_path()), "{key}: {upper} over {under}");
            assert_eq!(rows[0].source.line, Some(2), "{key}: {upper}");
            fs::remove_file(above).unwrap();
        }
    }
}

fn nested(key: &str, value: &str) -> String {
    let inner = key.rsplit('.').fold(value.to_owned(), |inner, key| format!("{{\"{key}\":{inner}}}"));
    // On the second line, so that the line in the source is not a default.
    format!("\n{inner}")
}

#[test]
fn a_list_is_the_union_of_all_layers_highest_first() {
    for list in List::ALL {
        let place = place();
        let layers = layers_here(&place);
        for (index, (_, file)) in layers.iter().enumerate() {
            trusted(&place, file, &nested(&list.path(), &format!("[\"{}\"]", sample(list, index))));
        }
        let settings = load(&place);
        let found: Vec<_> = list.merged(&settings).iter().take(layers.len()).collect();
        for (index, (layer, file)) in layers.iter().enumerate() {
            assert_eq!(found[index].value, sample(list, index), "{layer} {}", list.path());
            assert_eq!(found[index].source.file.as_deref(), Some(&**file), "{layer} {}", list.path());
        }
        let defaults = defaults();
        let built_in = list.written(&defaults.document).iter();
        for at in built_in {
            let kept = list
                .merged(&settings)
                .iter()
                .any(|entry| entry.value == at.value && entry.source.layer == Layer::Default);
            assert!(kept, "{} {}", list.path(), at.value);
        }
    }
}

#[test]
fn an_object_is_merged_key_by_key_and_its_lists_entry_by_entry() {
    let place = place();
    let layers = layers_here(&place);
    for (index, (_, file)) in layers.iter().enumerate() {
        trusted(
            &place,
            file,
            &format!(
                r#"{{ "mcpAutonomyOverrides": {{ "shared": {{ "tools": {{ "same": "high", "of{index}": "low" }} }},
                        "server{index}": {{ "defaultLevel": "medium" }} }},
                     "hooks": {{ "preCommand": ["/hook/{index}", ["/hook/{index}", "-v"]] }},
                     "sandbox": {{ "network": {{ "packageRegistries": ["{}"] }} }} }}"#,
                ["npm", "pip", "go", "cargo"][index % 4]
            ),
        );
    }
    let settings = load(&place);
    let rows = settings.all();
    let from = |key: &str| -> Vec<(String, PathBuf)> {
        let rows = rows.iter().filter(|row| row.key == key);
        rows.map(|row| (row.value.to_string(), row.source.file.as_ref().unwrap().to_path_buf())).collect()
    };
    assert_eq!(from("mcpAutonomyOverrides.shared.tools.same"), [(r#""high""#.to_owned(), layers[0].1.clone())]);
    let hooks = from("hooks.preCommand");
    let managers = from("sandbox.network.packageRegistries");
    for (index, (layer, file)) in layers.iter().enumerate() {
        let own = |value: &str| vec![(value.to_owned(), file.clone())];
        assert_eq!(from(&format!("mcpAutonomyOverrides.shared.tools.of{index}")), own(r#""low""#), "{layer}");
        assert_eq!(from(&format!("mcpAutonomyOverrides.server{index}.defaultLevel")), own(r#""medium""#), "{layer}");
        assert_eq!(hooks[2 * index], (format!(r#"["/hook/{index}"]"#), file.clone()), "{layer}");
        assert_eq!(hooks[2 * index + 1], (format!(r#"["/hook/{index}","-v"]"#), file.clone()), "{layer}");
        assert_eq!(managers[index].1, *file, "{layer}");
    }
}

#[test]
fn what_the_organisation_says_of_all_is_not_softened_for_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make a file that is root's");
        return;
    }
    let place = place();
    let organisation = r#"{ "mcpAutonomyOverrides": { "s": { "defaultLevel": "high", "tools": { "own": "low" } } },
        "missionPolicy": { "restrictedAccess": true } }"#;
    trusted(&place, &place.locations.organisation, organisation);
    let user = r#"{ "mcpAutonomyOverrides": { "s": { "defaultLevel": "low", "tools": { "one": "low", "own": "off" } },
        "t": { "defaultLevel": "high", "tools": { "one": "low" } } }, "missionPolicy": { "allowedUserIds": ["me"] } }"#;
    place.write(&place.locations.user_file(), user);
    let settings = load(&place);
    let level = |server: &str, tool: &str| {
        let level = &settings.approval.mcp_autonomy_overrides[server].tools[tool];
        (level.value.word(), level.source.layer)
    };
    assert_eq!(level("s", "one"), ("high", Layer::Organisation));
    assert_eq!(level("s", "own"), ("low", Layer::Organisation));
    assert_eq!(level("t", "one"), ("low", Layer::User));
    assert!(settings.approval.mission_policy.restricted_access);
    assert!(settings.approval.mission_policy.allowed_user_ids.is_empty());
}

fn sample(list: List, index: usize) -> String {
    use crate::settings::list::EntryKind;
    match list.kind() {
        EntryKind::Path | EntryKind::UnixSocket => format!("/entry/{index}"),
        EntryKind::Domain => format!("n{index}.example.com"),
        EntryKind::Command => format!("command{index}"),
        EntryKind::Nameserver => format!("127.0.0.{}", index + 1),
        EntryKind::Variable => format!("VARIABLE{index}"),
    }
}

#[test]
fn the_runtime_layer_stands_between_the_organisation_and_the_folders() {
    let place = place();
    trusted(&place, &files(&place)[1].1, &nested("sandbox.limits.processes", "1"));
    let document = read(nested("sandbox.limits.processes", "2").as_bytes()).unwrap();
    let runtime = Runtime { document, ..Runtime::default() };
    let settings = Settings::load(&place.locations, runtime.clone()).unwrap();
    assert_eq!(settings.sandbox.limits.processes, Some(2));
    if rustix::process::geteuid().is_root() {
        trusted(&place, &place.locations.organisation, &nested("sandbox.limits.processes", "3"));
        let settings = Settings::load(&place.locations, runtime).unwrap();
        assert_eq!(settings.sandbox.limits.processes, Some(3));
    }
}

#[test]
fn an_untrusted_file_can_only_forbid() {
    for layer in ["near folder", "far folder", "project local", "project"] {
        let place = place();
        let (_, file) = files(&place).into_iter().find(|(name, _)| *name == layer).unwrap();
        for list in List::ALL {
            let text = nested(&list.path(), &format!("[\"{}\"]", sample(list, 0)));
            place.write(&file, &text);
            let settings = load(&place);
            let counts = list.merged(&settings).iter().any(|entry| entry.value == sample(list, 0));
            let forbids = list.effect() == crate::settings::list::Effect::Narrows;
            assert_eq!(counts, forbids, "{layer}: {}", list.path());
            assert_eq!(settings.ignored.is_empty(), forbids, "{layer}: {}", list.path());

            trust::remember(&place.locations, &file, text.as_bytes()).unwrap();
            let settings = load(&place);
            assert!(
                list.merged(&settings).iter().any(|entry| entry.value == sample(list, 0)),
                "{layer}: {}",
                list.path()
            );
            assert!(settings.ignored.is_empty());
        }
        for (key, value) in [
            ("maxAutonomyLevel", "\"high\""),
            ("sessionDefaultSettings.autonomyLevel", "\"high\""),
            ("sandbox.capabilities", "\"default\""),
            ("sandbox.limits.processes", "7"),
            ("hooks.preCommand", "[\"/bin/true\"]"),
            ("hooks.timeLimitMs", "60000"),
            ("missionPolicy.allowedUserIds", "[\"me\"]"),
            ("mcpAutonomyOverrides.s.defaultLevel", "\"low\""),
            ("sandbox.network.packageRegistries", "[\"npm\"]"),
        ] {
            place.write(&file, &nested(key, value));
            let settings = load(&place);
            let from_file = settings.all().into_iter().filter(|row| row.source.file.as_deref() == Some(&*file));
            assert_eq!(from_file.count(), 0, "{layer}: {key}");
            assert_eq!(settings.ignored[0].reason, IgnoredBecause::Untrusted, "{layer}: {key}");
        }
    }
}

#[test]
fn trust_ends_when_the_file_changes_by_a_byte() {
    let place = place();
    let file = place.locations.project_file();
    let text = nested("sandbox.filesystem.allowWrite", "[\"/out\"]");
    trusted(&place, &file, &text);
    let counts = || load(&place).sandbox.filesystem.allow_write.iter().any(|entry| entry.value == "/out");
    assert!(counts());
    place.write(&file, &format!("{text}\n"));
    assert!(!counts());
    place.write(&file, &text);
    assert!(counts());
    assert!(trust::revoke(&place.locations, &file).unwrap());
    assert!(!counts());
    assert!(!trust::revoke(&place.locations, &file).unwrap());
}

#[test]
fn a_list_of_trusted_files_that_others_can_write_is_an_error() {
    let place = place();
    let file = place.locations.project_file();
    trusted(&place, &file, &nested("sandbox.filesystem.allowWrite", "[\"/out\"]"));
    let list = place.locations.state_directory().join("trust");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o666)).unwrap();
    let error = Settings::load(&place.locations, Runtime::default()).unwrap_err();
    assert!(matches!(error, SettingsError::Trust(TrustError::Exposed { .. })), "{error:?}");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&list, "nonsense\n").unwrap();
    let error = Settings::load(&place.locations, Runtime::default()).unwrap_err();
    assert!(matches!(error, SettingsError::Trust(TrustError::Malformed { line: 1, .. })), "{error:?}");
}

#[test]
fn only_organisation_user_and_flags_switch_the_sandbox_off() {
    let off = nested("sandbox.enabled", "false");
    for (layer, _) in layers_here(&place()) {
        let place = place();
        let (_, file) = files(&place).into_iter().find(|(name, _)| *name == layer).unwrap();
        trusted(&place, &file, &off);
        let settings = load(&place);
        let may = matches!(layer, "organisation" | "user");
        assert_eq!(settings.sandbox.enabled, !may, "{layer}");
        let reasons: Vec<_> = settings.ignored.iter().map(|ignored| ignored.reason).collect();
        let expected = if may { vec![] } else { vec![IgnoredBecause::SwitchesSandboxOff] };
        assert_eq!(reasons, expected, "{layer}");
    }
    let runtime = Runtime { document: read(off.as_bytes()).unwrap(), ..Runtime::default() };
    assert!(!Settings::load(&place().locations, runtime).unwrap().sandbox.enabled);
}

#[test]
fn who_may_run_missions_is_one_layers_list_whole() {
    let place = place();
    let user = place.locations.user_file();
    place.write(&user, &nested("missionPolicy.allowedUserIds", "[\"me\"]"));
    trusted(&place, &place.locations.project_file(), &nested("missionPolicy.allowedUserIds", "[\"them\"]"));
    let ids = load(&place).approval.mission_policy.allowed_user_ids;
    assert_eq!(ids.iter().map(|id| &*id.value).collect::<Vec<_>>(), ["them"]);
}

#[test]
fn a_malformed_file_of_any_layer_stops_everything_and_is_named() {
    for (layer, _) in layers_here(&place()) {
        let place = place();
        let (_, file) = files(&place).into_iter().find(|(name, _)| *name == layer).unwrap();
        place.write(&file, "{\n \"sandbox\": 1}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Settings::load(&place.locations, Runtime::default()).unwrap_err().to_string();
        let expected = format!("{}:2:13: sandbox: expected an object, found a number", file.display());
        assert_eq!(error, expected, "{layer}");
    }
}

#[test]
fn what_is_no_readable_file_is_an_error_and_holds_nobody_up() {
    let place = place();
    let file = place.locations.project_file();
    fs::create_dir_all(&file).unwrap();
    let error = |expected: io::ErrorKind| match Settings::load(&place.locations, Runtime::default()).unwrap_err() {
        SettingsError::Read { path, source } => {
            assert_eq!((path, source.kind()), (file.clone(), expected));
        }
        other => panic!("{other:?}"),
    };
    error(io::ErrorKind::IsADirectory);
    fs::remove_dir(&file).unwrap();
    rustix::fs::mknodat(CWD, &file, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    error(io::ErrorKind::InvalidInput);
    fs::remove_file(&file).unwrap();
    fs::write(&file, vec![b' '; 2 << 20]).unwrap();
    error(io::ErrorKind::FileTooLarge);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let error = Settings::load(&place.locations, Runtime::default()).unwrap_err();
    assert!(matches!(error, SettingsError::Read { .. }), "{error:?}");
}

#[test]
fn an_organisations_file_is_roots_alone_or_nothing_runs() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make a file that is root's");
        return;
    }
    let place = place();
    let file = place.locations.organisation.clone();
    let load = || Settings::load(&place.locations, Runtime::default());
    place.write(&file, "{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    load().unwrap();
    let directory = file.parent().unwrap();
    for (path, mode, owner, good) in [
        (file.as_path(), 0o664, 0, false),
        (file.as_path(), 0o646, 0, false),
        (file.as_path(), 0o644, 65534, false),
        (file.as_path(), 0o600, 0, true),
        (directory, 0o775, 0, false),
        (directory, 0o755, 65534, false),
        (directory, 0o755, 0, true),
    ] {
        std::os::unix::fs::chown(path, Some(owner), None).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load().is_ok(), good, "{path:?} {mode:o} {owner}");
        std::os::unix::fs::chown(path, Some(0), None).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(if path == directory { 0o755 } else { 0o644 })).unwrap();
    }
}

#[test]
fn an_organisations_file_that_is_no_plain_file_stops_everything() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make a file that is root's");
        return;
    }
    let place = place();
    let file = place.locations.organisation.clone();
    let directory = file.parent().unwrap().to_owned();
    let load = || Settings::load(&place.locations, Runtime::default());
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    load().unwrap();
    fs::create_dir_all(&directory).unwrap();
    load().unwrap();
    rustix::fs::mknodat(CWD, &file, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    load().unwrap_err();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    load().unwrap_err();
    fs::remove_dir(&file).unwrap();
    fs::write(&file, vec![b' '; 2 << 20]).unwrap();
    open(&file);
    load().unwrap_err();
    fs::remove_file(&file).unwrap();

    // A link counts like the file that it leads to, and the place where that is.
    let real = place.write(&place.locations.home.join("o.json"), "{}");
    open(&real);
    std::os::unix::fs::symlink(&real, &file).unwrap();
    load().unwrap();
    fs::set_permissions(&place.locations.home, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(load().unwrap_err(), SettingsError::Exposed { .. }));
    fs::set_permissions(&place.locations.home, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&real, Some(65534), None).unwrap();
    assert!(matches!(load().unwrap_err(), SettingsError::Exposed { .. }));
    fs::remove_file(&real).unwrap();
    load().unwrap_err();
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "").unwrap();
    load().unwrap_err();
    fs::remove_file(&directory).unwrap();
    std::os::unix::fs::symlink("/nonexistent", &directory).unwrap();
    load().unwrap_err();
}

#[test]
fn a_flag_that_means_nothing_is_an_error() {
    let mut runtime = Runtime::default();
    let entry = super::super::read::At::nowhere("exa mple".into());
    runtime.document.sandbox.network.allowed_domains.push(entry);
    let error = Settings::load(&place().locations, runtime).unwrap_err();
    assert!(matches!(error, SettingsError::Flag { .. }), "{error:?}");
}

#[test]
fn askances_own_files_are_blocked_wherever_they_are() {
    let mut place = place();
    place.locations.config_home = place.locations.home.join("odd [config]");
    let settings = load(&place);
    let blocked: Vec<_> = settings.sandbox.filesystem.block_write.iter().map(|entry| &*entry.value).collect();
    let home = place.locations.home.display();
    assert!(blocked.contains(&format!("{home}/odd \\[config\\]/askance").as_str()), "{blocked:?}");
    assert!(blocked.contains(&format!("{home}/.local/state/askance").as_str()), "{blocked:?}");
    assert!(blocked.contains(&"**/.askance"), "{blocked:?}");
}
