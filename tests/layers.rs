//! No layer below the organisation's makes milder what the organisation forbids.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use askance::approval::{self, Authority, Decision, Request, Rules, Subject, Surroundings};
use askance::policy::{Access, Change, Facts, Host, UnixName, Verdict};
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

struct Nothing;

impl Facts for Nothing {
    fn entry_born_in_run(&self, _: &Path) -> bool {
        false
    }
    fn repository_born_in_run(&self, _: &Path) -> bool {
        false
    }
    fn listens(&self, _: IpAddr, _: u16) -> bool {
        false
    }
    fn socket_born_in_run(&self, _: &UnixName) -> bool {
        false
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
    let commands = (some(&PATTERNS), some(&PATTERNS), some(&PATTERNS));
    let paths = prop::collection::vec(some(&PATHS), 6);
    let domains = prop::collection::vec(some(&DOMAINS), 3);
    (commands, paths, domains, prop::sample::select(LEVELS.to_vec())).prop_map(
        |((allow, deny, block), paths, domains, level)| {
            serde_json::json!({
                "commandAllowlist": allow, "commandDenylist": deny, "commandBlocklist": block,
                "maxAutonomyLevel": level,
                "sessionDefaultSettings": { "autonomyLevel": level },
                "sandbox": {
                    "filesystem": {
                        "allowRead": paths[0], "denyRead": paths[1], "blockRead": paths[2],
                        "allowWrite": paths[3], "denyWrite": paths[4], "blockWrite": paths[5],
                    },
                    "network": { "allowedDomains": domains[0], "deniedDomains": domains[1], "blockedDomains": domains[2] },
                },
            })
            .to_string()
        },
    )
}

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
    let judged = reads.chain(writes).chain(connects).map(|access| match policy.judge(&access, &Nothing) {
        Verdict::Allow(_) => (0, false),
        // The organisation's question can only be denied.
        Verdict::Ask(question) => (1 + u8::from(question.organisation), question.organisation),
        Verdict::Deny(denial) => (2, denial.rule.is_some_and(|rule| rule.source.layer == Layer::Organisation)),
    });
    judged.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

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
        let pairs = commands(&alone).into_iter().zip(commands(&all));
        let pairs = pairs.chain(accesses(&alone, locations).into_iter().zip(accesses(&all, locations)));
        for (at, ((strict, organisations), (now, _))) in pairs.enumerate() {
            prop_assert!(!organisations || now >= strict, "verdict {at}: {strict} became {now}");
        }
    }
}
