//! Tables of lists and what they say.

use std::path::{Path, PathBuf};

use super::*;
use crate::journal::Finality;
use crate::settings::{Filesystem, Network, Source, Sourced, Text};

struct Nothing;

impl Facts for Nothing {
    fn entry_born_in_run(&self, top: &Path) -> bool {
        top == Path::new("/tmp/ours")
    }
    fn repository_born_in_run(&self, git_dir: &Path) -> bool {
        git_dir == Path::new("/w/new/.git")
    }
    fn listens(&self, _address: IpAddr, port: u16) -> bool {
        port == 4000
    }
    fn socket_born_in_run(&self, _name: &UnixName) -> bool {
        false
    }
}

fn places() -> Places {
    Places {
        home: "/home/u".into(),
        workspace: "/w".into(),
        temporary: "/tmp/ask.1".into(),
        cache: "/home/u/.cache/askance/w".into(),
        git_dirs: vec!["/main/.git".into()],
        nursery: None,
        read_only: false,
    }
}

fn list(layer: Layer, entries: &[&str]) -> Vec<Sourced<Text>> {
    let source = Source::from(layer);
    entries.iter().map(|entry| Sourced { value: (*entry).to_owned().into(), source: source.clone() }).collect()
}

fn defaults() -> Sandbox {
    Sandbox {
        filesystem: Filesystem {
            allow_read: list(Layer::Default, &["/", "~"]),
            deny_read: list(Layer::Default, &["~/.ssh", "/etc/shadow", "/home/*"]),
            deny_write: list(
                Layer::Default,
                &[
                    "**/.git/hooks",
                    "**/.git/config",
                    "**/.git/modules/*/config",
                    "**/.git/modules/*/hooks",
                    "**/.envrc",
                ],
            ),
            block_write: list(Layer::Default, &["~/.config/askance"]),
            quiet_write: list(Layer::Default, &["~/.cargo/.package-cache", "**/__pycache__"]),
            ..Filesystem::default()
        },
        network: Network { allow_local_binding: true, ..Network::default() },
        ..Sandbox::default()
    }
}

fn as_written(_: &Path) -> Option<PathBuf> {
    None
}

fn compile(sandbox: &Sandbox) -> Policy {
    Policy::compile(sandbox, places(), &as_written).unwrap()
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow(_) => "allow",
        Verdict::Ask(_) => "ask",
        Verdict::Deny(denial) if denial.finality == Finality::Quiet => "quiet",
        Verdict::Deny(_) => "block",
    }
}

#[test]
fn reading_follows_the_most_specific_rule() {
    let policy = compile(&defaults());
    let table = [
        ("/usr/lib/x.so", "allow"),
        ("/home/u/notes", "allow"),
        ("/home/u/.ssh", "ask"),
        ("/home/u/.ssh/id", "ask"),
        ("/home/u/.sshx", "allow"),
        ("/home/other/notes", "ask"),
        ("/etc/shadow", "ask"),
        ("/w/f", "allow"),
    ];
    for (path, expected) in table {
        assert_eq!(word(&policy.judge(&Access::Read(Path::new(path)), &Nothing)), expected, "{path}");
    }
}

#[test]
fn writing_is_for_the_workspace_and_what_the_run_made() {
    let policy = compile(&defaults());
    let table = [
        ("/w/f", Change::Create, "allow"),
        ("/w/.git/hooks/pre-commit", Change::Create, "ask"),
        ("/w/deep/er/.git/hooks", Change::Create, "ask"),
        ("/w/new/.git/hooks/pre-commit.sample", Change::Create, "allow"),
        ("/w/new/.git/hooks/pre-commit", Change::Create, "ask"),
        ("/w/new/.git/hooks", Change::Create, "allow"),
        ("/w/new/.git/config", Change::Create, "allow"),
        ("/w/.git/config", Change::Existing, "ask"),
        ("/w/.git/modules/sub/hooks/post-checkout", Change::Create, "ask"),
        ("/w/.git/modules/sub/config", Change::Existing, "ask"),
        ("/w/.git/modules/sub/index", Change::Existing, "allow"),
        ("/w/new/.git/modules/sub/config", Change::Create, "allow"),
        ("/w/new/.git/modules/sub/hooks/post-checkout", Change::Create, "ask"),
        ("/w/pkg/__pycache__/m.pyc", Change::Create, "allow"),
        ("/usr/lib/python3/__pycache__/m.pyc", Change::Create, "quiet"),
        ("/tmp/ours/__pycache__/m.pyc", Change::Create, "allow"),
        ("/tmp/old/__pycache__/m.pyc", Change::Create, "quiet"),
        ("/w/.git/index", Change::Existing, "allow"),
        ("/w/sub/.envrc", Change::Create, "ask"),
        ("/tmp/ask.1/.envrc", Change::Create, "allow"),
        ("/tmp/fresh", Change::Create, "allow"),
        ("/tmp/old", Change::Existing, "ask"),
        ("/tmp/old/in", Change::Create, "ask"),
        ("/tmp/ours/in", Change::Create, "allow"),
        ("/home/u/notes", Change::Existing, "ask"),
        ("/home/u/.config/askance/settings.json", Change::Existing, "block"),
        ("/home/u/.cargo/.package-cache", Change::Existing, "quiet"),
        ("/main/.git/refs/heads/x", Change::Create, "allow"),
        ("/main/.git/hooks/x", Change::Create, "ask"),
    ];
    for (path, change, expected) in table {
        assert_eq!(word(&policy.judge(&Access::Write(Path::new(path), change), &Nothing)), expected, "{path}");
    }
}

#[test]
fn an_allow_beats_a_deny_only_if_as_specific_and_from_as_high_a_layer() {
    let table: [(Layer, &str, Layer, &str, &str); 6] = [
        (Layer::User, "~/.ssh/config", Layer::Default, "~/.ssh", "allow"),
        (Layer::User, "~", Layer::Default, "~/.ssh", "ask"),
        (Layer::User, "~/.ssh/config", Layer::Project, "~/.ssh", "ask"),
        (Layer::Runtime, "~/.ssh/config", Layer::Organisation, "~/.ssh", "ask"),
        (Layer::Organisation, "~/.ssh/config", Layer::Organisation, "~/.ssh", "allow"),
        (Layer::Project, "~/.ssh/*", Layer::Default, "~/.ssh", "allow"),
    ];
    for (allow_layer, allow, deny_layer, deny, expected) in table {
        let mut sandbox = Sandbox::default();
        sandbox.filesystem.allow_read = list(allow_layer, &[allow]);
        sandbox.filesystem.deny_read = list(deny_layer, &[deny]);
        let verdict = compile(&sandbox).judge(&Access::Read(Path::new("/home/u/.ssh/config")), &Nothing);
        assert_eq!(word(&verdict), expected, "{allow} against {deny}");
    }
}

#[test]
fn reads_need_no_trap_where_every_denial_is_overruled() {
    let table: [(&[&str], bool); 4] =
        [(&["/"], false), (&["/", "~"], false), (&["/", "~/.ssh/config"], false), (&["/", "~/.ssh"], true)];
    for (allowed, expected) in table {
        let mut sandbox = Sandbox::default();
        sandbox.filesystem.allow_read = list(Layer::User, allowed);
        sandbox.filesystem.deny_read = list(Layer::Default, &["~/.ssh"]);
        assert_eq!(compile(&sandbox).reads_everything(), expected, "{allowed:?}");
    }
}

#[test]
fn a_block_always_stands() {
    let mut sandbox = Sandbox::default();
    sandbox.filesystem.allow_read = list(Layer::Organisation, &["/w/a/b"]);
    sandbox.filesystem.block_read = list(Layer::Default, &["/w/a"]);
    let verdict = compile(&sandbox).judge(&Access::Read(Path::new("/w/a/b")), &Nothing);
    assert_eq!(word(&verdict), "block");
}

#[test]
fn domains_wildcards_ports_and_blocks() {
    let mut sandbox = defaults();
    sandbox.network.allowed_domains =
        list(Layer::User, &["example.com", "*.example.org:443", "10.0.0.0/8", "bücher.example", "[2001:db8::1]:80"]);
    sandbox.network.denied_domains = list(Layer::User, &["evil.example.org"]);
    let policy = compile(&sandbox);
    let name = |name: &str| Host::Name(name.to_owned());
    let address = |text: &str| Host::Address(text.parse().unwrap());
    let table = [
        (name("example.com"), 80, "allow"),
        (name("www.example.com"), 80, "ask"),
        (name("example.org"), 443, "ask"),
        (name("a.example.org"), 443, "allow"),
        (name("a.example.org"), 80, "ask"),
        (name("aexample.org"), 443, "ask"),
        (name("evil.example.org"), 443, "ask"),
        (name("xn--bcher-kva.example"), 80, "allow"),
        (address("10.1.2.3"), 9, "allow"),
        (address("11.1.2.3"), 9, "ask"),
        (address("2001:db8::1"), 80, "allow"),
        (address("2001:db8::1"), 81, "ask"),
        (address("127.0.0.1"), 4000, "allow"),
        (address("127.0.0.1"), 4001, "ask"),
    ];
    for (host, port, expected) in table {
        let verdict = policy.judge(&Access::Connect { host: &host, port }, &Nothing);
        assert_eq!(word(&verdict), expected, "{host}:{port}");
    }
    assert!(policy.name_is_allowed("a.example.org"));
    assert!(!policy.name_is_allowed("evil.example.org"));
}

#[test]
fn a_star_allows_what_is_public_and_denies_everything() {
    let name = Host::Name("anything.example".to_owned());
    let address = |text: &str| Host::Address(text.parse().unwrap());
    let table = [
        ("*", "", name.clone(), "allow"),
        ("*:443", "", name.clone(), "ask"),
        ("*", "", address("203.0.113.1"), "allow"),
        ("*", "", address("10.0.0.1"), "ask"),
        ("*", "", address("169.254.169.254"), "ask"),
        ("", "*", name.clone(), "block"),
        ("", "*", address("10.0.0.1"), "block"),
        ("anything.example", "*", name, "block"),
    ];
    for (allow, block, host, expected) in table {
        let mut sandbox = defaults();
        let entries = |entry: &str| if entry.is_empty() { vec![] } else { list(Layer::User, &[entry]) };
        sandbox.network.allowed_domains = entries(allow);
        sandbox.network.blocked_domains = entries(block);
        let verdict = compile(&sandbox).judge(&Access::Connect { host: &host, port: 80 }, &Nothing);
        assert_eq!(word(&verdict), expected, "allow {allow:?}, block {block:?}, {host}");
    }
}

#[test]
fn a_private_result_needs_the_address_or_the_pair() {
    for (entry, expected) in [
        ("*", "ask"),
        ("other.test", "ask"),
        ("127.0.0.1:8443", "allow"),
        ("127.0.0.0/8", "allow"),
        ("api.example.test=127.0.0.1", "allow"),
        ("api.example.test=127.0.0.1:80", "ask"),
        ("api.example.test=127.0.0.2", "ask"),
    ] {
        let mut sandbox = defaults();
        sandbox.network.allowed_domains = list(Layer::User, &[entry]);
        let access =
            Access::PrivateResult { name: "api.example.test", address: "127.0.0.1".parse().unwrap(), port: 8443 };
        assert_eq!(word(&compile(&sandbox).judge(&access, &Nothing)), expected, "{entry}");
    }
}

#[test]
fn entries_that_mean_nothing_are_errors() {
    for entry in ["", "exa mple.com", "example.com:0", "example.com:99999", "1.2.3.4/33", "0x7f.1", "127.1", "*.1"] {
        let mut sandbox = Sandbox::default();
        sandbox.network.allowed_domains = list(Layer::User, &[entry]);
        assert!(Policy::compile(&sandbox, places(), &as_written).is_err(), "{entry}");
    }
}

#[test]
fn what_always_writes_covers_what_was_asked() {
    let policy = compile(&defaults());
    let asked = Path::new("/home/u/.ssh/a[1]*.txt");
    let Verdict::Ask(question) = policy.judge(&Access::Read(asked), &Nothing) else { panic!("not asked") };
    for answer in question.offers.iter().filter(|answer| matches!(answer, Answer::Always { .. })) {
        let grant = question.grant(answer).unwrap();
        let mut next = policy.clone();
        next.grant(&grant).unwrap();
        assert_eq!(word(&next.judge(&Access::Read(asked), &Nothing)), "allow", "{grant:?}");
    }
}

#[test]
fn the_floor_excludes_what_a_rule_for_any_depth_could_deny() {
    let policy = compile(&defaults());
    let write = policy.silent_writing();
    assert_eq!(write.roots, [PathBuf::from("/home/u/.cache/askance/w"), PathBuf::from("/tmp/ask.1")]);
    let read = policy.silent_reading(&|_, _| None);
    assert!(read.roots.contains(&"/".into()) && read.roots.contains(&"/home/u".into()));
    assert!(read.carve.contains(&"/home".into()) && read.carve.contains(&"/home/u/.ssh".into()));
}

#[test]
fn the_floor_reads_a_workspace_but_for_what_patterns_deny_in_it() {
    let mut settings = defaults();
    settings.filesystem.deny_read.extend(list(Layer::User, &["**/.env", "conf/*.key"]));
    settings.filesystem.allow_read.extend(list(Layer::User, &["open/.env"]));
    let policy = compile(&settings);
    let tree =
        ["/w/.env", "/w/a/.env", "/w/a/x", "/w/open/.env", "/w/conf/b.key", "/w/conf/c/b.key"].map(PathBuf::from);
    let search = |base: &Path, interesting: &dyn Fn(&Path) -> bool| {
        assert_eq!(base, Path::new("/w"));
        Some(tree.iter().filter(|path| interesting(path)).cloned().collect())
    };
    let read = policy.silent_reading(&search);
    let inside: Vec<_> = read.carve.iter().filter(|carve| carve.starts_with("/w")).collect();
    assert_eq!(inside, [Path::new("/w/.env"), Path::new("/w/a/.env"), Path::new("/w/conf/b.key")]);
    assert!(read.patterned && read.roots.contains(&"/w".into()), "{:?}", read.roots);
    // Too much to look at: nothing of it.
    let read = policy.silent_reading(&|_, _| None);
    assert!(read.carve.contains(&"/w".into()) && !read.roots.iter().any(|root| root.starts_with("/w")));
}

#[test]
fn the_floor_grants_no_terminal_whatever_the_lists_say() {
    let mut settings = defaults();
    for entries in [&mut settings.filesystem.allow_read, &mut settings.filesystem.allow_write] {
        entries.extend(list(Layer::User, &["/dev", "/dev/pts", "/dev/pts/3"]));
    }
    let policy = compile(&settings);
    for silent in [policy.silent_reading(&|_, _| None), policy.silent_writing()] {
        assert!(silent.carve.contains(&"/dev/pts".into()), "{:?}", silent.carve);
        assert!(!silent.roots.iter().any(|root| root.starts_with("/dev/pts")), "{:?}", silent.roots);
    }
}

#[test]
fn moving_a_directory_beneath_a_pattern_is_noticed() {
    let policy = compile(&defaults());
    for (from, to, inspect) in [
        ("/w/a", "/w/b", Inspect::Names),
        ("/tmp/ask.1/d", "/w/d", Inspect::Names),
        ("/w/d", "/tmp/ask.1/d", Inspect::Names),
        ("/tmp/ask.1/d", "/tmp/ask.1/e", Inspect::Nothing),
    ] {
        let beneath = policy.beneath_rename(Path::new(from), Path::new(to));
        assert_eq!(beneath, Beneath { restricted: vec![], inspect }, "{from} {to}");
    }
    assert!(policy.could_mean("hooks".as_ref()) && !policy.could_mean("main.rs".as_ref()));
    let home = policy.beneath_rename(Path::new("/home/u"), Path::new("/w/u"));
    assert!(home.restricted.contains(&"/home/u/.ssh".into()));
}

#[test]
fn a_link_is_known_by_what_it_would_stand_above() {
    let policy = compile(&defaults());
    let above = policy.beneath_link(Path::new("/w/sub/.git"));
    assert!(above.contains(&"/w/sub/.git/hooks".into()), "{above:?}");
    assert_eq!(policy.beneath_link(Path::new("/w/sub/git")), Vec::<PathBuf>::new());
    assert_eq!(policy.beneath_link(Path::new("/tmp/ask.1/.git")), Vec::<PathBuf>::new());
}

#[test]
fn a_rule_that_names_a_link_speaks_of_what_it_leads_to() {
    let linked = |path: &Path| match path.strip_prefix("/home/u/.ssh") {
        Ok(rest) => Some(Path::new("/data/keys").join(rest)),
        Err(_) => (path == Path::new("/w/out")).then(|| "/home/u/.gnupg".into()),
    };
    let mut sandbox = defaults();
    sandbox.filesystem.allow_write = list(Layer::User, &["./out"]);
    let policy = Policy::compile(&sandbox, places(), &linked).unwrap();
    assert_eq!(word(&policy.judge(&Access::Read(Path::new("/data/keys")), &Nothing)), "ask");
    let planted = Access::Write(Path::new("/home/u/.gnupg"), Change::Existing);
    assert_eq!(word(&policy.judge(&planted, &Nothing)), "ask", "a link in the workspace widens nothing");
}

#[test]
fn an_allow_rule_follows_no_link_that_a_run_may_have_made() {
    // Every link there is, with what it leads to.
    let links = [
        ("/home/u/out", "/home/u"),
        ("/srv/a/link", "/home/u/.ssh"),
        ("/var/run", "/run"),
        ("/tmp/x", "/home/u"),
        ("/mnt/w", "/w"),
        ("/w/l", "/home/u"),
    ];
    fn resolve(path: &Path, links: &[(&str, &str)]) -> PathBuf {
        let led = links.iter().find_map(|(link, to)| Some(Path::new(to).join(path.strip_prefix(link).ok()?)));
        led.map_or_else(|| path.to_owned(), |led| resolve(&led.components().collect::<PathBuf>(), links))
    }
    let real = |path: &Path| Some(resolve(path, &links)).filter(|real| real != path);
    let table: [(&str, &str, &str); 7] = [
        ("~/out", "/home/u/victim", "ask"),
        ("/tmp/x/y", "/home/u/y", "ask"),
        ("/srv/a", "/srv/a/f", "allow"),
        ("/srv/a/link/f", "/home/u/.ssh/f", "ask"),
        ("/var/run/app", "/run/app", "allow"),
        ("/mnt/w/l/f", "/home/u/f", "ask"),
        ("/srv/a/f", "/srv/a/f", "allow"),
    ];
    for (entry, path, expected) in table {
        let mut sandbox = defaults();
        sandbox.filesystem.allow_write = list(Layer::User, &[entry, "/srv/a"]);
        let policy = Policy::compile(&sandbox, places(), &real).unwrap();
        let access = Access::Write(Path::new(path), Change::Existing);
        assert_eq!(word(&policy.judge(&access, &Nothing)), expected, "{entry}: {path}");
        let target = policy.silent_reading(&|_, _| None).roots;
        assert!(!target.contains(&PathBuf::from("/home/u/out")), "{target:?}");
    }
}

#[test]
fn spec_mode_writes_nothing_but_its_temporary_directory() {
    let places = Places { read_only: true, ..places() };
    let policy = Policy::compile(&defaults(), places, &as_written).unwrap();
    for (path, expected) in
        [("/w/f", "ask"), ("/main/.git/refs/x", "ask"), ("/tmp/ask.1/f", "allow"), ("/tmp/new", "ask")]
    {
        assert_eq!(word(&policy.judge(&Access::Write(Path::new(path), Change::Create), &Nothing)), expected, "{path}");
    }
    assert_eq!(policy.silent_writing().roots, [PathBuf::from("/tmp/ask.1")]);
}
