use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::policy::{Effect, Operation};
use crate::settings::testing::Place;
use crate::settings::{Layer, MissionPolicy, Source, Sourced};

fn sourced<T>(value: T, layer: Layer) -> Sourced<T> {
    Sourced {
        value,
        source: Source { layer, file: Some(Path::new("/etc/askance/settings.json").into()), line: Some(3) },
    }
}

fn approval(most: Option<AutonomyLevel>, subagents: Option<AutonomyLevel>) -> Approval {
    Approval {
        max_autonomy_level: most.map(|most| sourced(most, Layer::Organisation)),
        subagent_autonomy_level: subagents.map(|most| sourced(most, Layer::User)),
        ..Approval::default()
    }
}

fn chosen(level: Option<AutonomyLevel>) -> Chosen {
    Chosen { level, mode: None }
}

fn grant(entry: &str) -> Grant {
    Grant { operation: Operation::Write, effect: Effect::Allow, entry: entry.into() }
}

fn command(words: &[&str], rule: &str) -> CommandGrant {
    let words = words.iter().map(ToString::to_string).collect();
    CommandGrant { workspace: "/w".into(), words, form: Form::Argv, rule: rule.into() }
}

#[test]
fn each_kind_gets_its_level_and_no_more_than_its_ceiling() {
    use AutonomyLevel::{High, Low, Medium, Off};
    use Kind::{Exec, Interactive, Mission, Subagent};
    let place = Place::new();
    // Kind, chosen, maximum, subagents' maximum, and what comes of it.
    let table = [
        (Interactive, None, None, None, Some((Off, High))),
        (Interactive, Some(Medium), None, Some(Low), Some((Medium, High))),
        (Interactive, Some(High), Some(Low), None, Some((Low, Low))),
        (Exec, None, None, None, Some((Off, High))),
        (Exec, Some(High), Some(Medium), Some(Low), Some((Medium, Medium))),
        (Subagent, None, None, None, Some((High, High))),
        (Subagent, None, None, Some(Medium), Some((Medium, Medium))),
        (Subagent, Some(High), None, Some(Low), Some((Low, Low))),
        (Subagent, Some(Off), None, Some(Medium), Some((Off, Medium))),
        (Subagent, None, Some(Low), Some(Medium), Some((Low, Low))),
        (Mission, None, None, Some(Low), Some((High, High))),
        (Mission, None, Some(Medium), None, None),
        (Mission, Some(Medium), None, None, None),
    ];
    for (kind, level, most, subagents, expected) in table {
        let session = Session::open(&place.locations, None, kind).unwrap();
        let authority = session.authority(&approval(most, subagents), chosen(level), Off).ok();
        let got = authority.map(|authority| (authority.level, authority.ceiling));
        assert_eq!(got, expected, "{kind:?} {level:?} {most:?} {subagents:?}");
    }
}

#[test]
fn a_mission_is_for_those_whom_the_policy_names() {
    let caller = Caller { uid: 1234, name: Some("ada".into()) };
    let high = Authority { level: AutonomyLevel::High, ceiling: AutonomyLevel::High, mode: InteractionMode::Auto };
    let table: [(bool, &[&str], bool); 6] = [
        (false, &[], true),
        (true, &[], false),
        (true, &["1234"], true),
        (true, &["ada"], true),
        (true, &["bob", "12345", "01234"], false),
        (false, &["bob"], true),
    ];
    for (restricted_access, ids, expected) in table {
        let allowed_user_ids = ids.iter().map(|id| sourced((*id).to_owned().into(), Layer::Organisation)).collect();
        let mission_policy = MissionPolicy { restricted_access, allowed_user_ids };
        let settings = Approval { mission_policy, ..Approval::default() };
        assert_eq!(Kind::Mission.may_have(high, &settings, &caller).is_ok(), expected, "{ids:?}");
        assert!(Kind::Subagent.may_have(high, &settings, &caller).is_ok());
    }
}

#[test]
fn sessions_of_one_name_share_level_mode_and_grants_and_others_do_not() {
    let place = Place::new();
    let name: Name = "build-1".parse().unwrap();
    let one = Session::open(&place.locations, Some(&name), Kind::Exec).unwrap();
    let before = one.stamp();
    let two = Session::open(&place.locations, Some(&name), Kind::Exec).unwrap();
    two.set_level(&Approval::default(), AutonomyLevel::Medium).unwrap();
    two.set_mode(InteractionMode::Spec).unwrap();
    two.grant(grant("/srv/out")).unwrap();
    two.grant_command(command(&["git", "push"], "r")).unwrap();

    assert_ne!(one.stamp(), before);
    let authority = one.authority(&Approval::default(), Chosen::default(), AutonomyLevel::Off).unwrap();
    assert_eq!((authority.level, authority.mode), (AutonomyLevel::Medium, InteractionMode::Spec));
    assert_eq!(one.grants(), [grant("/srv/out")]);
    assert!(one.allows_command(&command(&["git", "push"], "r")));
    assert!(!one.allows_command(&command(&["git", "push"], "another rule")));
    assert!(!one.allows_command(&command(&["git", "push", "--force"], "r")));

    let other: Name = "build-2".parse().unwrap();
    for stranger in [Some(&other), None] {
        let stranger = Session::open(&place.locations, stranger, Kind::Exec).unwrap();
        assert_eq!(stranger.grants(), []);
        let authority = stranger.authority(&Approval::default(), Chosen::default(), AutonomyLevel::Off).unwrap();
        assert_eq!((authority.level, authority.mode), (AutonomyLevel::Off, InteractionMode::Auto));
    }
}

#[test]
fn a_session_never_grants_a_refusal_and_ends_with_the_machines_start() {
    let place = Place::new();
    let name: Name = "s".parse().unwrap();
    let session = Session::open(&place.locations, Some(&name), Kind::Exec).unwrap();
    session.grant(Grant { effect: Effect::Block, ..grant("/a") }).unwrap();
    assert_eq!(session.grants(), []);
    session.grant(grant("/b")).unwrap();
    let file = session.file().unwrap().to_owned();
    let text = std::fs::read_to_string(&file).unwrap();
    let boot: serde_json::Value = serde_json::from_str(&text).unwrap();
    let boot = boot["boot"].as_str().unwrap();
    assert!(!boot.is_empty());
    std::fs::write(&file, text.replace(boot, "another")).unwrap();
    assert_eq!(Session::open(&place.locations, Some(&name), Kind::Exec).unwrap().grants(), []);
}

#[test]
fn state_that_others_could_have_written_is_refused() {
    let place = Place::new();
    let name: Name = "s".parse().unwrap();
    let open = || Session::open(&place.locations, Some(&name), Kind::Exec).map(|session| session.grants());
    let session = Session::open(&place.locations, Some(&name), Kind::Exec).unwrap();
    session.grant(grant("/b")).unwrap();
    let file = session.file().unwrap().to_owned();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for (path, good, bad) in [
        (file.as_path(), 0o600, 0o666),
        (file.parent().unwrap(), 0o700, 0o777),
        (file.parent().unwrap().parent().unwrap(), 0o700, 0o770),
    ] {
        set(path, bad);
        assert!(matches!(open(), Err(SessionError::Exposed { .. })), "{path:?}");
        set(path, good);
        assert_eq!(open().unwrap(), [grant("/b")]);
    }
    std::fs::write(&file, "{\"levle\": 1}").unwrap();
    assert!(matches!(open(), Err(SessionError::Malformed { .. })));
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(matches!(open(), Err(SessionError::Read { .. })));
}

#[test]
fn without_a_private_runtime_directory_sessions_are_in_the_state_directory() {
    let mut place = Place::new();
    let state = place.locations.state_directory().join("sessions");
    place.locations.runtime_dir = None;
    assert_eq!(place.locations.session_directory(), state);
    let shared = place.locations.home.join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    place.locations.runtime_dir = Some(shared.clone());
    assert_eq!(place.locations.session_directory(), state);
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.locations.session_directory(), shared.join("askance/sessions"));
}

#[test]
fn the_level_chosen_last_is_where_a_persons_next_session_begins() {
    use AutonomyLevel::{High, Low, Medium, Off};
    let place = Place::new();
    let mut settings = Approval::default();
    let level = |kind, settings: &Approval| {
        let session = Session::open(&place.locations, None, kind).unwrap();
        session.authority(settings, Chosen::default(), Off).unwrap().level
    };
    let choose = |kind, level, settings: &Approval| {
        Session::open(&place.locations, None, kind).unwrap().set_level(settings, level).unwrap()
    };
    assert_eq!(level(Kind::Interactive, &settings), Off);
    choose(Kind::Exec, High, &settings);
    assert_eq!(level(Kind::Interactive, &settings), Off, "what a program chooses is no habit");
    choose(Kind::Interactive, Medium, &settings);
    assert_eq!(level(Kind::Interactive, &settings), Medium);
    assert_eq!(level(Kind::Exec, &settings), Off);

    // What the user's settings say anew counts more; a project's or the organisation's always does.
    settings.autonomy_level = Some(sourced(Low, Layer::User));
    assert_eq!(level(Kind::Interactive, &settings), Low);
    choose(Kind::Interactive, High, &settings);
    assert_eq!(level(Kind::Interactive, &settings), High);
    settings.autonomy_level = Some(sourced(Low, Layer::Organisation));
    assert_eq!(level(Kind::Interactive, &settings), Low);
    settings.autonomy_level = Some(sourced(Low, Layer::User));
    settings.max_autonomy_level = Some(sourced(Medium, Layer::Organisation));
    assert_eq!(level(Kind::Interactive, &settings), Medium);
    assert_eq!(choose(Kind::Interactive, High, &settings), Medium);
}

#[test]
fn names_become_files_and_nothing_else() {
    for good in ["a", "build-1", "2026.11.27_x"] {
        assert!(good.parse::<Name>().is_ok(), "{good}");
    }
    let long = "a".repeat(65);
    for bad in ["", ".", "..", ".a", "-a", "a/b", "../a", "a b", "ä", "a\0", &long] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}
