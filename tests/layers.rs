//! No layer below the organisation's makes milder what the organisation forbids.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use askance::approval::{self, Authority, Decision, Request, Rules, Subject, Surroundings};
use askance::policy::{Access, Change, Host, NothingYet, Verdict};
use askance::run::foresee;
use askance::session::Kind;
use askance::settings::load::{Runtime, understand};
use askance::settings::{AutonomyLevel, InteractionMode, Layer, Locations, Settings, trust};
use proptest::prelude::*;

struct Plain;

impl Surroundings for Plain {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }
    fn sandbox_may_write(&self, _: &Path) -> bool {
        false
    }
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
    fn is_mount_point(&self, _: &Path) -> bool {
        false
    }
    fn is_block_device(&self, _: &Path) -> bool {
        false
    }
    fn repository_runs(&self, _: &Path) -> Option<String> {
        None
    }
}

const COMMANDS: [&str; 5] = ["touch a", "git push", "ls", "rm -rf /", "frobnicate"];
const PATTERNS: [&str; 5] = ["touch a", "git push", "git *", "*", "ls"];
const PATHS: [&str; 4] = ["/srv/a", "/srv/a/b", "/srv/a/b/c", "/srv"];
const DOMAINS: [&str; 3] = ["a.example.com", "*.example.com", "b.example.com"];
const LEVELS: [&str; 4] = ["off", "low", "medium", "high"];

/// Settings of every kind that could widen or narrow.
fn document() -> impl Strategy<Value = String> {
    let some = |from: &[&'static str]| prop::sample::subsequence(from.to_vec(), 0..=2);
    let level = || prop::option::of(prop::sample::select(LEVELS.to_vec()));
    let others = (
        level(),
        level(),
        level(),
        prop::option::of(any::<bool>()),
        prop::option::of(some(&IDS)),
        any::<[Option<bool>; 4]>(),
    );
    let numbers = (prop::option::of(1_u64..9), some(&VARIABLES), some(&VARIABLES), prop::option::of(1_u64..9));
    let commands = (some(&PATTERNS), some(&PATTERNS), some(&PATTERNS));
    let paths = prop::collection::vec(some(&PATHS), 6);
    let domains = prop::collection::vec(some(&DOMAINS), 3);
    (commands, paths, domains, prop::sample::select(LEVELS.to_vec()), others, numbers).prop_map(
        |((allow, deny, block), paths, domains, level, others, numbers)| {
            let mut document = serde_json::json!({
                "commandAllowlist": allow, "commandDenylist": deny, "commandBlocklist": block,
                "maxAutonomyLevel": level,
                "sessionDefaultSettings": { "autonomyLevel": level },
                "sandbox": {
                    "filesystem": {
                        "allowRead": paths[0], "denyRead": paths[1], "blockRead": paths[2],
                        "allowWrite": paths[3], "denyWrite": paths[4], "blockWrite": paths[5],
                    },
                    "network": { "allowedDomains": domains[0], "deniedDomains": domains[1], "blockedDomains": domains[2] },
                    "env": { "allow": numbers.1, "remove": numbers.2 },
                },
            });
            let mut set = |path: &str, value: Option<serde_json::Value>| {
                let Some(value) = value else { return };
                let (parents, key) = path.rsplit_once('/').unwrap();
                let object = parents.split('/').filter(|part| !part.is_empty()).fold(&mut document, |object, part| {
                    object.as_object_mut().unwrap().entry(part).or_insert_with(|| serde_json::json!({}))
                });
                object[key] = value;
            };
            set("mcpAutonomyOverrides/s/defaultLevel", others.0.map(Into::into));
            set("mcpAutonomyOverrides/s/tools/one", others.1.map(Into::into));
            set("/subagentAutonomyLevel", others.2.map(Into::into));
            set("missionPolicy/restrictedAccess", others.3.map(Into::into));
            set("missionPolicy/allowedUserIds", others.4.map(Into::into));
            set("/forbidSkipPermissions", others.5[0].map(Into::into));
            set("sandbox/network/allowLocalBinding", others.5[1].map(Into::into));
            set("sandbox/enabled", others.5[2].map(Into::into));
            set("sandbox/capabilities", others.5[3].map(|all| if all { "default".into() } else { "none".into() }));
            set("sandbox/limits/processes", numbers.0.map(Into::into));
            set("hooks/timeLimitMs", numbers.3.map(Into::into));
            document.to_string()
        },
    )
}

const IDS: [&str; 3] = ["1", "2", "me"];
const VARIABLES: [&str; 4] = ["A_TOKEN", "A_*", "B_KEY", "*"];

struct Machine {
    _root: tempfile::TempDir,
    locations: Locations,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let (home, workspace) = (real.join("home"), real.join("work"));
        let cwd = workspace.join("sub");
        fs::create_dir_all(&cwd).unwrap();
        fs::create_dir_all(&home).unwrap();
        let locations = Locations {
            config_home: home.join(".config"),
            state_home: home.join(".local/state"),
            cache_home: home.join(".cache"),
            runtime_dir: None,
            cwd,
            organisation: real.join("etc/askance/settings.json"),
            workspace,
            home,
        };
        Machine { _root: root, locations }
    }

    fn write(&self, file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        trust::remember(&self.locations, file, text.as_bytes()).unwrap();
    }

    fn load(&self, runtime: Runtime) -> Settings {
        Settings::load(&self.locations, runtime).unwrap()
    }
}

/// How strict a verdict is, and whether the organisation is why.
type Strictness = (u8, bool);

fn commands(settings: &Settings) -> Vec<Strictness> {
    let lists = &settings.approval;
    let rules = Rules::new(&lists.command_blocklist, &lists.command_denylist, &lists.command_allowlist).unwrap();
    let ceiling = Kind::Exec.ceiling(lists);
    let judged = COMMANDS.iter().map(|command| {
        let request = Request {
            subject: Subject::Shell(command.as_bytes()),
            cwd: Path::new("/work"),
            workspace: Path::new("/work"),
            home: Some(Path::new("/home/me")),
            declared: None,
        };
        let level = AutonomyLevel::High.min(ceiling);
        let authority = Authority { level, ceiling, mode: InteractionMode::Auto };
        let verdict = approval::judge(&rules, &request, authority, &Plain);
        let strict = match verdict.decision {
            Decision::Allow => 0,
            Decision::Ask => 1,
            Decision::Refuse => 2,
        };
        (strict, verdict.rule.is_some_and(|rule| rule.source.layer == Layer::Organisation))
    });
    judged.collect()
}

fn accesses(settings: &Settings, locations: &Locations) -> Vec<Strictness> {
    let policy = foresee(locations, settings).unwrap();
    let paths = PATHS.iter().map(Path::new);
    let hosts: Vec<Host> = ["a.example.com", "b.example.com"].map(|name| Host::Name(name.into())).into();
    let reads = paths.clone().map(Access::Read);
    let writes = paths.map(|path| Access::Write(path, Change::Existing));
    let connects = hosts.iter().map(|host| Access::Connect { host, port: 443 });
    let judged = reads.chain(writes).chain(connects).map(|access| match policy.judge(&access, &NothingYet) {
        Verdict::Allow(_) => (0, false),
        // The organisation's question can only be denied.
        Verdict::Ask(question) => (1 + u8::from(question.organisation), question.organisation),
        Verdict::Deny(denial) => (2, denial.rule.is_some_and(|rule| rule.source.layer == Layer::Organisation)),
    });
    judged.collect()
}

/// What the organisation alone forbids of what has no verdict of its own, each as a number that must not fall.
fn bounds(alone: &Settings, settings: &Settings) -> Vec<(String, u64)> {
    let own: Vec<String> =
        alone.all().into_iter().filter(|row| row.source.layer == Layer::Organisation).map(|row| row.key).collect();
    let says = |key: &str| own.iter().any(|own| own == key);
    let mut found = Vec::new();
    let mut bound = |key: &str, strict: u64| {
        if says(key) {
            found.push((key.to_owned(), strict));
        }
    };
    let approval = &settings.approval;
    let sandbox = &settings.sandbox;
    bound("forbidSkipPermissions", approval.forbid_skip_permissions.into());
    bound("sandbox.enabled", sandbox.enabled.into());
    bound("sandbox.capabilities", (!sandbox.keep_root_capabilities).into());
    bound("sandbox.network.allowLocalBinding", (!sandbox.network.allow_local_binding).into());
    bound("sandbox.limits.processes", u64::MAX - sandbox.limits.processes.unwrap_or(u64::MAX));
    bound("hooks.timeLimitMs", u64::MAX - approval.hooks.time_limit_ms.unwrap_or(u64::MAX));
    for kind in [Kind::Subagent, Kind::Exec] {
        found.push((format!("{kind:?}"), u64::MAX - kind.ceiling(approval) as u64));
    }
    let mission = &approval.mission_policy;
    let barred =
        |id: &str| u64::from(mission.restricted_access && mission.allowed_user_ids.iter().all(|of| of.value != id));
    if says("missionPolicy.restrictedAccess") {
        found.extend(IDS.map(|id| (format!("mission of {id}"), barred(id))));
    }
    let server = approval.mcp_autonomy_overrides.get("s");
    for tool in ["one", "two"] {
        let said = server.and_then(|server| server.tools.get(tool).or(server.default_level.as_ref()));
        let organisations =
            says("mcpAutonomyOverrides.s.defaultLevel") || (tool == "one" && says("mcpAutonomyOverrides.s.tools.one"));
        if organisations {
            found.push((format!("tool {tool}"), said.map_or(0, |level| level.value as u64)));
        }
    }
    let mut own = alone.sandbox.env.clone();
    own.remove.retain(|entry| entry.source.layer == Layer::Organisation);
    let removed = ["A_TOKEN", "B_KEY", "C"].into_iter().filter(|name| own.removes(name));
    found.extend(removed.map(|name| (name.to_owned(), sandbox.env.removes(name).into())));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_layer_below_the_organisations_makes_a_verdict_milder(
        own in document(),
        below in prop::collection::vec(prop::option::of(document()), 5),
    ) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can write the organisation's file");
            return Ok(());
        }
        let machine = Machine::new();
        let locations = &machine.locations;
        machine.write(&locations.organisation, &own);
        let alone = machine.load(Runtime::default());
        let files = [
            locations.user_file(),
            locations.project_file(),
            locations.local_file(),
            locations.workspace.join("sub/.askance/settings.json"),
        ];
        for (file, text) in files.iter().zip(&below) {
            if let Some(text) = text {
                machine.write(file, text);
            }
        }
        let mut runtime = Runtime::default();
        if let Some(text) = &below[4] {
            runtime.document = understand(Path::new("flags"), text.as_bytes()).unwrap();
        }
        let all = machine.load(runtime);
        prop_assert!(Kind::Exec.ceiling(&all.approval) <= Kind::Exec.ceiling(&alone.approval));
        for ((key, strict), (_, now)) in bounds(&alone, &alone).into_iter().zip(bounds(&alone, &all)) {
            prop_assert!(now >= strict, "{key}: {strict} became {now}");
        }
        let pairs = commands(&alone).into_iter().zip(commands(&all));
        let pairs = pairs.chain(accesses(&alone, locations).into_iter().zip(accesses(&all, locations)));
        for (at, ((strict, organisations), (now, _))) in pairs.enumerate() {
            prop_assert!(!organisations || now >= strict, "verdict {at}: {strict} became {now}");
        }
    }
}
