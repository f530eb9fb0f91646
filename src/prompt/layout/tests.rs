use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::policy::{Host, Operation, Rule, Scope, Target, UnixName};
use crate::settings::Source;
use crate::supervisor::context::Process;

fn face(columns: usize, rows: usize) -> Face {
    Face { columns, rows, colour: false, charset: Charset::Utf8, home: Some("/home/me".into()) }
}

fn offers(scopes: &[Scope]) -> Vec<Answer> {
    let mut offers = vec![Answer::Once, Answer::Run, Answer::Session];
    for &scope in scopes {
        for place in [Place::Project, Place::User] {
            offers.push(Answer::Always { scope, place, root: None });
        }
    }
    offers.push(Answer::Deny);
    offers.extend([Answer::Never { place: Place::Project }, Answer::Never { place: Place::User }]);
    offers
}

fn asked(operation: Operation, target: Target, reason: Reason, offers: Vec<Answer>) -> Asked {
    let question = Question { operation, target, reason, offers, organisation: false };
    Asked {
        id: 1,
        question: Arc::new(question),
        process: Process {
            pid: 4711,
            program: "/usr/bin/cat".into(),
            argv: vec!["cat".into(), "a b".into(), "c".into()],
        },
        request: "make -j2 all".into(),
    }
}

fn path(operation: Operation, path: &str) -> Asked {
    asked(operation, Target::Path(path.into()), Reason::NotListed, offers(&[Scope::File, Scope::Directory]))
}

fn denied_by(text: &str, layer: Layer, file: Option<&str>) -> Reason {
    let source = Source { layer, file: file.map(|file| std::path::Path::new(file).into()), line: file.map(|_| 12) };
    Reason::Denied(Rule::said(text.to_owned(), source))
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.trim_end()).collect::<Vec<_>>().join("\n")
}

fn shown(asked: &Asked, columns: usize, rows: usize) -> String {
    text(&face(columns, rows).question(asked, &Menu::new(&asked.question), 0))
}

#[test]
fn a_write_that_no_list_covers() {
    assert_snapshot!(shown(&path(Operation::Write, "/srv/out/report.txt"), 80, 24));
}

#[test]
fn a_read_that_the_users_own_rule_denies() {
    let mut asked = path(Operation::Read, "/home/me/notes/private.txt");
    let question = Arc::get_mut(&mut asked.question).unwrap();
    question.reason =
        denied_by("sandbox.filesystem.denyRead: ~/notes", Layer::User, Some("/home/me/.config/askance/settings.json"));
    question.offers.insert(3, Answer::Unlist);
    assert_snapshot!(shown(&asked, 80, 24));
}

#[test]
fn a_connection() {
    let target = Target::Host { host: Host::Name("api.example.test".into()), port: 8443 };
    let scopes = [Scope::Domain, Scope::Subdomains, Scope::Port];
    let asked = asked(Operation::Connect, target, Reason::NotListed, offers(&scopes));
    assert_snapshot!(text(&face(80, 24).question(&asked, &Menu::new(&asked.question), 3)));
}

#[test]
fn a_name_that_leads_to_a_private_address() {
    let target = Target::Resolved {
        name: "api.example.test".into(),
        address: IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
        port: 80,
    };
    let asked = asked(Operation::Connect, target, Reason::PrivateAddress, offers(&[Scope::Domain, Scope::Port]));
    assert_snapshot!(shown(&asked, 80, 24));
}

#[test]
fn an_organisations_rule() {
    let mut asked = path(Operation::Write, "/etc/hosts");
    let question = Arc::get_mut(&mut asked.question).unwrap();
    question.reason =
        denied_by("sandbox.filesystem.denyWrite: /etc", Layer::Organisation, Some("/etc/askance/settings.json"));
    question.organisation = true;
    assert_snapshot!(shown(&asked, 80, 24));
}

#[test]
fn a_command_and_a_socket() {
    let target = Target::Command(vec!["git".into(), "push".into(), "--force".into(), "it's".into()]);
    let command = asked(Operation::Command, target, Reason::NotListed, offers(&[Scope::Command]));
    let target = Target::Unix(UnixName::Abstract(b"x\0y".to_vec()));
    let socket = asked(Operation::Unix, target, Reason::NotListed, offers(&[Scope::Socket]));
    assert_snapshot!([shown(&command, 80, 24), shown(&socket, 80, 24)].join("\n\n"));
}

#[test]
fn a_long_path_is_shown_whole() {
    let long = format!("/srv/{}/end", "directory/".repeat(30));
    let shown = shown(&path(Operation::Write, &long), 60, 60);
    let unwrapped: String = shown.lines().skip(1).map(|line| line.chars().skip(11).collect::<String>()).collect();
    assert!(unwrapped.starts_with(&long), "{shown}");
    assert_snapshot!(shown);
}

#[test]
fn a_long_command_line_is_clipped() {
    let mut asked = path(Operation::Write, "/srv/f");
    asked.process.argv = vec!["word".into(); 100_000];
    assert_snapshot!(shown(&asked, 60, 24));
}

#[test]
fn a_flood_of_arguments_hides_neither_end() {
    let mut argv = vec!["first".to_owned()];
    argv.extend(std::iter::repeat_n("word".to_owned(), 100_000));
    argv.push("last".into());
    let asked = asked(Operation::Command, Target::Command(argv), Reason::NotListed, offers(&[]));
    let shown = shown(&asked, 80, 24);
    assert!(shown.lines().count() < 100, "{shown}");
    assert!(
        shown.contains("first word") && shown.contains("bytes not shown") && shown.contains("word last"),
        "{shown}"
    );
}

#[test]
fn small_windows() {
    let asked = path(Operation::Write, "/srv/out/report.txt");
    let sizes = [(90, 8), (30, 24), (30, 12), (20, 6), (1, 1)];
    let all: Vec<String> =
        sizes.iter().map(|&(columns, rows)| format!("{columns}x{rows}\n{}", shown(&asked, columns, rows))).collect();
    assert_snapshot!(all.join("\n\n"));
}

#[test]
fn an_ascii_terminal() {
    let asked = path(Operation::Write, "/srv/größe");
    let mut face = face(80, 24);
    face.charset = Charset::Ascii;
    let question = text(&face.question(&asked, &Menu::new(&asked.question), 0));
    let ending = face.ending(&asked.question, Ending::Answered(&Answer::Once));
    assert!((question.clone() + &ending.text).is_ascii());
    assert_snapshot!(format!("{question}\n\n{}", ending.text));
}

#[test]
fn colours_end_where_they_should() {
    let asked = path(Operation::Write, "/srv/a\u{202e}b");
    let mut face = face(80, 24);
    face.colour = true;
    for line in face.question(&asked, &Menu::new(&asked.question), 0) {
        let last = line.text.rfind('\x1b').unwrap();
        assert!(line.text[last..].starts_with("\x1b[0m"), "{line:?}");
    }
    let lines = face.question(&asked, &Menu::new(&asked.question), 0);
    assert_snapshot!(text(&lines[..2]).replace('\x1b', "ESC"));
}

#[test]
fn endings() {
    let question = path(Operation::Read, "/home/me/.ssh/config").question;
    let long = path(Operation::Write, &format!("/srv/{}end", "directory/".repeat(20))).question;
    let always = |scope| Answer::Always { scope, place: Place::User, root: None };
    let rooted = Answer::Always { scope: Scope::Directory, place: Place::Project, root: Some("/home/me".into()) };
    let answers = [
        Answer::Once,
        Answer::Run,
        Answer::Session,
        Answer::Unlist,
        Answer::Deny,
        Answer::Never { place: Place::Project },
        always(Scope::File),
        always(Scope::Directory),
        rooted,
    ];
    let face = face(100, 24);
    let mut all: Vec<String> =
        answers.iter().map(|answer| face.ending(&question, Ending::Answered(answer)).text).collect();
    all.push(face.ending(&question, Ending::Withdrawn).text);
    all.push(face.ending(&question, Ending::Background).text);
    all.push(face.ending(&long, Ending::Answered(&Answer::Once)).text);
    assert_snapshot!(all.join("\n"));
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_window(
        target in "(/\\PC{0,30}){1,8}",
        request in "\\PC{0,200}",
        columns in 20..200_usize,
        rows in 1..60_usize,
    ) {
        let mut asked = path(Operation::Read, &target);
        asked.request = request;
        let menu = Menu::new(&asked.question);
        let face = face(columns, rows);
        let lines = face.question(&asked, &menu, 1);
        for line in &lines {
            prop_assert!(line.width < columns, "{} {line:?}", columns);
            prop_assert!(!line.text.chars().any(char::is_control));
        }
        prop_assert!(lines.last().unwrap().text.ends_with("answer: "));
        let ending = face.ending(&asked.question, Ending::Answered(&Answer::Once));
        prop_assert!(ending.width < columns);
    }
}
