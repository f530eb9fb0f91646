use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::policy::{Host, Operation, Place, Reason, Scope, Target, UnixName};

const PLACES: [Place; 2] = [Place::Project, Place::User];

fn question(operation: Operation, target: Target) -> Question {
    let mut offers = vec![Answer::Once, Answer::Run, Answer::Session, Answer::Unlist, Answer::Deny];
    for place in PLACES {
        offers.push(Answer::Never { place });
        for scope in [
            Scope::File,
            Scope::Directory,
            Scope::Domain,
            Scope::Subdomains,
            Scope::Port,
            Scope::Socket,
            Scope::Command,
        ] {
            offers.push(Answer::Always { scope, place, root: None });
        }
    }
    Question { operation, target, reason: Reason::NotListed, offers, organisation: false }
}

fn path(text: &str) -> Target {
    Target::Path(PathBuf::from(text))
}

fn name(name: &str, port: u16) -> Target {
    Target::Host { host: Host::Name(name.to_owned()), port }
}

fn address(address: &str, port: u16) -> Target {
    Target::Host { host: Host::Address(address.parse().unwrap()), port }
}

fn resolved(name: &str, port: u16) -> Target {
    Target::Resolved { name: name.to_owned(), address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port }
}

fn command(words: &[&str]) -> Target {
    Target::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

fn parse(text: &str) -> AnswersFile {
    AnswersFile::parse(text, Path::new("/home/me")).unwrap()
}

/// Is the target covered by `pattern` under `operation`?
fn covers(operation: Operation, pattern: &str, target: Target) -> bool {
    let file = parse(&format!("{} {pattern} once", operation.word()));
    file.answer(&question(operation, target)) == Answer::Once
}

#[test]
fn path_patterns_cover_what_they_say() {
    let table = [
        ("/srv/out/**", "/srv/out/f", true),
        ("/srv/out/**", "/srv/out/s/g", true),
        ("/srv/out/**", "/srv/out", true),
        ("/srv/out/**", "/srv/outer", false),
        ("/srv/out/**", "/srv", false),
        ("/srv/out/", "/srv/out", true),
        ("/srv/*", "/srv/f", true),
        ("/srv/*", "/srv/s/f", false),
        ("~/.ssh/config", "/home/me/.ssh/config", true),
        ("~/.ssh/config", "/home/other/.ssh/config", false),
        ("~", "/home/me", true),
        ("~/**", "/home/me/a/b", true),
        ("**/.env", "/srv/a/.env", true),
        ("*", "/any/thing", true),
        ("/**", "/", true),
        ("/**", "/any", true),
        ("\"/srv/my out/**\"", "/srv/my out/f", true),
        (r"/srv/my\ out/f", "/srv/my out/f", true),
        (r"/srv/\*", "/srv/*", true),
        (r"/srv/\*", "/srv/f", false),
        ("/srv/a#b", "/srv/a#b", true),
        ("/srv/{a,b}", "/srv/b", true),
    ];
    for (pattern, target, expected) in table {
        assert_eq!(covers(Operation::Write, pattern, path(target)), expected, "{pattern} {target}");
    }
}

#[test]
fn host_patterns_cover_what_they_say() {
    let table = [
        ("api.example.test:8443", name("api.example.test", 8443), true),
        ("api.example.test:8443", name("api.example.test", 443), false),
        ("api.example.test", name("api.example.test", 443), true),
        ("api.example.test:*", name("api.example.test", 443), true),
        ("API.Example.Test.", name("api.example.test", 443), true),
        ("*.example.test", name("a.b.example.test", 443), true),
        ("*.example.test", name("example.test", 443), false),
        ("*.example.test:1", name("a.example.test", 443), false),
        ("bücher.example", name("xn--bcher-kva.example", 443), true),
        ("127.0.0.1:80", address("127.0.0.1", 80), true),
        ("127.0.0.1:80", name("localhost", 80), false),
        ("10.*", address("10.1.2.3", 80), true),
        ("[::1]:80", address("::1", 80), true),
        ("[::1]:80", address("::1", 81), false),
        ("::1", address("::1", 80), true),
        ("*", name("example.test", 1), true),
    ];
    for (pattern, target, expected) in table {
        assert_eq!(covers(Operation::Connect, pattern, target.clone()), expected, "{pattern} {target}");
    }
}

#[test]
fn an_address_that_is_not_public_is_only_covered_where_it_is_named() {
    let table = [
        ("api.example.test", false),
        ("api.example.test:443", false),
        ("*", false),
        ("api.example.test=10.0.0.1", true),
        ("api.example.test=10.0.0.1:443", true),
        ("api.example.test=10.0.0.1:80", false),
        ("api.example.test=10.*", true),
        ("api.example.test=10.0.0.2", false),
    ];
    for (pattern, expected) in table {
        assert_eq!(covers(Operation::Connect, pattern, resolved("api.example.test", 443)), expected, "{pattern}");
    }
}

#[test]
fn sockets_and_listeners_are_covered() {
    let unix = |text: &str| Target::Unix(UnixName::Path(text.into()));
    let hidden = Target::Unix(UnixName::Abstract(b"dbus-1".to_vec()));
    assert!(covers(Operation::Unix, "/run/docker.sock", unix("/run/docker.sock")));
    assert!(!covers(Operation::Unix, "/run/docker.sock", unix("/run/other.sock")));
    assert!(covers(Operation::Unix, "@dbus-*", hidden.clone()));
    assert!(!covers(Operation::Unix, "/dbus-*", hidden));
    assert!(covers(Operation::Bind, "0.0.0.0:80", Target::Socket("0.0.0.0:80".parse().unwrap())));
    assert!(!covers(Operation::Bind, "0.0.0.0:80", Target::Socket("0.0.0.0:81".parse().unwrap())));
}

#[test]
fn command_patterns_cover_what_they_say() {
    let table: [(&str, &[&str], bool); 11] = [
        ("git push *", &["git", "push", "origin"], true),
        ("git push *", &["git", "push"], true),
        ("git push", &["git", "push", "origin"], true),
        ("git push", &["/usr/bin/git", "push"], true),
        ("/opt/git push", &["/usr/bin/git", "push"], false),
        ("git push", &["git", "pull"], false),
        ("=git push", &["git", "push", "origin"], false),
        ("=git push", &["git", "push"], true),
        ("git * origin", &["git", "push", "origin"], true),
        ("git * origin", &["git", "push", "fork"], false),
        ("echo \"once\"", &["echo", "once"], true),
    ];
    for (pattern, argv, expected) in table {
        assert_eq!(covers(Operation::Command, pattern, command(argv)), expected, "{pattern} {argv:?}");
    }
}

#[test]
fn answers_carry_scope_and_place() {
    let always = |scope, place| Answer::Always { scope, place, root: None };
    let table = [
        ("once", Answer::Once),
        ("run", Answer::Run),
        ("session", Answer::Session),
        ("unlist", Answer::Unlist),
        ("deny", Answer::Deny),
        ("never", Answer::Never { place: Place::Project }),
        ("never user", Answer::Never { place: Place::User }),
        ("always", always(Scope::Port, Place::Project)),
        ("always user", always(Scope::Port, Place::User)),
        ("always domain", always(Scope::Domain, Place::Project)),
        ("always subdomains user", always(Scope::Subdomains, Place::User)),
        ("always port project", always(Scope::Port, Place::Project)),
    ];
    for (text, expected) in table {
        let file = parse(&format!("connect a.example.test {text}"));
        assert_eq!(file.answer(&question(Operation::Connect, name("a.example.test", 1))), expected, "{text}");
    }
}

#[test]
fn always_directory_means_the_directory_that_the_pattern_names() {
    let table = [
        ("/srv/out/**", "/srv/out/s", "/srv/out"),
        ("/srv/out/**", "/srv/out/s/t/g", "/srv/out"),
        ("/srv/out/**", "/srv/out", "/srv/out"),
        ("/srv/*/out/**", "/srv/a/out/f", "/srv/a/out"),
        ("/srv/out/*", "/srv/out/f", "/srv/out"),
        ("~/x/**", "/home/me/x/y/z", "/home/me/x"),
    ];
    for (pattern, target, root) in table {
        let question = question(Operation::Write, path(target));
        let answer = parse(&format!("write {pattern} always directory user")).answer(&question);
        assert_eq!(question.grant(&answer).unwrap().entry, root, "{pattern} {target}");
    }
}

#[test]
fn the_first_line_that_covers_counts_and_the_rest_is_denied() {
    let file = parse("# comment\n\nwrite /a/b deny  # not this one\nwrite /a/* once\nread /a/c run\n");
    let ask = |operation, text| file.answer(&question(operation, path(text)));
    assert_eq!(ask(Operation::Write, "/a/b"), Answer::Deny);
    assert_eq!(ask(Operation::Write, "/a/c"), Answer::Once);
    assert_eq!(ask(Operation::Read, "/a/c"), Answer::Run);
    assert_eq!(ask(Operation::Read, "/a/b"), Answer::Deny);
    assert_eq!(ask(Operation::Write, "/b"), Answer::Deny);
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    let table = [
        ("reed /a once", (1, 1), Expected::Operation),
        ("\n  \"read\" /a once", (2, 3), Expected::Operation),
        ("read", (1, 5), Expected::Target),
        ("read /a", (1, 8), Expected::Answer),
        ("read /a  # once", (1, 16), Expected::Answer),
        ("read /a maybe", (1, 9), Expected::Answer),
        ("read /a once user", (1, 14), Expected::End),
        ("read /a always domain", (1, 16), Expected::FileScope),
        ("read /a always file domain", (1, 21), Expected::Place),
        ("connect a always file", (1, 18), Expected::HostScope),
        ("unix /a always file", (1, 16), Expected::Place),
        ("read a/b once", (1, 6), Expected::Path),
        ("read ~other/b once", (1, 6), Expected::Path),
        ("read /a[ once", (1, 6), Expected::Glob),
        ("read /a\\", (1, 8), Expected::Escaped),
        ("read \"/a once", (1, 6), Expected::ClosingQuote),
        ("connect a:0 once", (1, 9), Expected::Port),
        ("connect a:http once", (1, 9), Expected::Port),
        ("connect a/b once", (1, 9), Expected::Host),
        ("command git push", (1, 17), Expected::Answer),
        ("command once", (1, 9), Expected::Target),
        ("read /é maybe", (1, 9), Expected::Answer),
    ];
    for (text, (line, column), expected) in table {
        let (at, error) = AnswersFile::parse(text, Path::new("/home/me")).unwrap_err();
        assert_eq!((at, error.column, error.expected), (line, column, expected), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let error = AnswersFile::load(Path::new("/nonexistent/a"), Path::new("/")).unwrap_err();
    assert_eq!(error.to_string(), "read answers file /nonexistent/a");
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_but_never_panics(text in "(read|write|connect|command|bind|unix)? ?\\PC{0,40}( once| always user)?") {
        let _ = AnswersFile::parse(&text, Path::new("/home/me"));
    }

    #[test]
    fn a_quoted_literal_covers_exactly_itself(text in "[ -~é]{1,20}", other in "[ -~é]{1,20}") {
        prop_assume!(!text.contains('/') && !other.contains('/'));
        let quoted: String = text.chars().flat_map(|character| ['\\', character]).collect();
        let pattern = format!("/x/{quoted}");
        let covered = |text: &str| covers(Operation::Read, &pattern, path(&format!("/x/{text}")));
        prop_assert!(covered(&text));
        prop_assert_eq!(covered(&other), other == text);
    }
}
