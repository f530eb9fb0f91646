use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::settings::testing::Place;
use crate::settings::{Runtime, Settings};

const WRITE: &[&str] = &["sandbox", "filesystem", "allowWrite"];
const DENY: &[&str] = &["sandbox", "filesystem", "denyWrite"];

#[test]
fn an_entry_is_added_and_removed_with_comments_order_and_layout_kept() {
    let table = [
        (
            "an empty file",
            "",
            "{\n  \"sandbox\": {\n    \"filesystem\": {\n      \"allowWrite\": [\n        \"/out\"\n      ]\n    }\n  }\n}\n",
        ),
        (
            "only a comment",
            "// mine\n",
            "// mine\n{\n  \"sandbox\": {\n    \"filesystem\": {\n      \"allowWrite\": [\n        \"/out\"\n      ]\n    }\n  }\n}\n",
        ),
        (
            "comments everywhere, tabs, a trailing comma",
            "/* top */\n{\n\t// before\n\t\"sandbox\": { // beside\n\t\t\"filesystem\": {\n\t\t\t\"allowWrite\": [\n\t\t\t\t\"/a\", // why\n\t\t\t],\n\t\t\t\"denyRead\": [\"/z\"]\n\t\t}\n\t}\n\t// end\n}\n",
            "/* top */\n{\n\t// before\n\t\"sandbox\": { // beside\n\t\t\"filesystem\": {\n\t\t\t\"allowWrite\": [\n\t\t\t\t\"/a\", // why\n\t\t\t\t\"/out\",\n\t\t\t],\n\t\t\t\"denyRead\": [\"/z\"]\n\t\t}\n\t}\n\t// end\n}\n",
        ),
        (
            "other keys first",
            "{\n    \"commandAllowlist\": [\"ls\"],\n    \"sandbox\": {}\n}",
            "{\n    \"commandAllowlist\": [\"ls\"],\n    \"sandbox\": {\n        \"filesystem\": {\n            \"allowWrite\": [\n                \"/out\"\n            ]\n        }\n    }\n}\n",
        ),
        (
            "a list on one line",
            "{\"sandbox\": {\"filesystem\": {\"allowWrite\": [\"/a\", \"/b\"]}}}\n",
            "{\"sandbox\": {\"filesystem\": {\"allowWrite\": [\"/a\", \"/b\", \"/out\"]}}}\n",
        ),
    ];
    for (label, before, after) in table {
        let place = Place::new();
        let file = place.write(&place.locations.user_file(), before);
        assert_eq!(add(&place.locations, &file, WRITE, "/out").unwrap(), Change::Made, "{label}");
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "{label}");
        assert_eq!(add(&place.locations, &file, WRITE, "/out").unwrap(), Change::None, "{label}");
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "{label}: added twice");

        assert_eq!(remove(&place.locations, &file, WRITE, "/out").unwrap(), Change::Made, "{label}");
        let left = fs::read_to_string(&file).unwrap();
        assert!(!left.contains("/out"), "{label}: {left}");
        for comment in ["/* top */", "// before", "// beside", "// why", "// end", "// mine"] {
            assert_eq!(before.contains(comment), left.contains(comment), "{label}: {left}");
        }
        understand(&file, left.as_bytes()).unwrap();
        assert_eq!(remove(&place.locations, &file, WRITE, "/out").unwrap(), Change::None, "{label}");
    }
}

#[test]
fn what_is_created_is_the_users_alone() {
    let place = Place::new();
    let user = place.locations.user_file();
    add(&place.locations, &user, WRITE, "/out").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&user), 0o600);
    assert_eq!(mode(user.parent().unwrap()), 0o700);

    fs::set_permissions(&user, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&user).unwrap().ino();
    add(&place.locations, &user, WRITE, "/more").unwrap();
    assert_eq!(mode(&user), 0o640, "a chosen mode stays");
    assert_ne!(fs::metadata(&user).unwrap().ino(), inode, "replaced, not written into");
    let names: Vec<_> = fs::read_dir(user.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["settings.json"], "nothing is left behind");
}

#[test]
fn a_user_file_that_is_a_link_is_edited_where_it_is() {
    let place = Place::new();
    let user = place.locations.user_file();
    let elsewhere = place.write(&place.locations.home.join("dotfiles/askance.json"), "{}");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    symlink(&elsewhere, &user).unwrap();
    add(&place.locations, &user, WRITE, "/out").unwrap();
    assert!(user.is_symlink());
    assert!(fs::read_to_string(&elsewhere).unwrap().contains("/out"));
}

#[test]
fn a_repositorys_links_are_not_followed() {
    let place = Place::new();
    let local = place.locations.local_file();
    let victim = place.write(&place.locations.home.join("victim"), "{}");
    fs::create_dir_all(local.parent().unwrap()).unwrap();
    symlink(&victim, &local).unwrap();
    let error = add(&place.locations, &local, WRITE, "/out").unwrap_err();
    assert!(matches!(error, EditError::Link { .. }), "{error:?}");

    fs::remove_dir_all(local.parent().unwrap()).unwrap();
    fs::create_dir(place.locations.home.join("dir")).unwrap();
    symlink(place.locations.home.join("dir"), local.parent().unwrap()).unwrap();
    let error = add(&place.locations, &local, WRITE, "/out").unwrap_err();
    assert!(matches!(error, EditError::Link { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "{}");
    assert_eq!(fs::read_dir(place.locations.home.join("dir")).unwrap().count(), 0);
}

#[test]
fn a_malformed_file_is_left_alone() {
    let place = Place::new();
    for text in
        ["{", "[]", "{\"sandbox\": []}", "{\"sandbox\": {\"filesystem\": {\"allowWrite\": \"/\"}}}", "{\"x\": 1}"]
    {
        let file = place.write(&place.locations.user_file(), text);
        add(&place.locations, &file, WRITE, "/out").unwrap_err();
        remove(&place.locations, &file, WRITE, "/out").unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    let file = place.write(&place.locations.user_file(), "{}");
    let error = add(&place.locations, &file, &["sandbox", "nonsense"], "x").unwrap_err();
    assert!(matches!(error, EditError::NoSuchList { .. }), "{error:?}");
    add(&place.locations, &file, WRITE, "../x").unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
}

#[test]
fn what_always_writes_is_trusted_and_nothing_else_becomes_so() {
    let place = Place::new();
    let local = place.locations.local_file();
    let counts = |entry: &str| {
        let settings = Settings::load(&place.locations, Runtime::default()).unwrap();
        settings.sandbox.filesystem.allow_write.iter().any(|found| found.value == entry)
    };
    add(&place.locations, &local, WRITE, "/out").unwrap();
    assert!(counts("/out"));
    add(&place.locations, &local, DENY, "/no").unwrap();
    assert!(counts("/out"), "still trusted after the next edit");

    let generous = "{\"sandbox\": {\"filesystem\": {\"allowWrite\": [\"/\"]}}}";
    place.write(&local, generous);
    assert!(!counts("/"));
    let error = add(&place.locations, &local, WRITE, "/out").unwrap_err();
    assert!(matches!(error, EditError::Untrusted { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&local).unwrap(), generous);
    add(&place.locations, &local, DENY, "/no").unwrap();
    assert!(!counts("/"), "a deny entry vouches for nothing");
    remove(&place.locations, &local, DENY, "/no").unwrap();
    assert!(!counts("/"));

    let narrow = "{\"sandbox\": {\"filesystem\": {\"denyWrite\": [\"/no\"]}}}";
    place.write(&local, narrow);
    add(&place.locations, &local, WRITE, "/out").unwrap();
    assert!(counts("/out"), "a file that only forbids needs no trust to begin with");
}

#[test]
fn a_lock_that_somebody_keeps_is_waited_for() {
    let place = Place::new();
    let user = place.write(&place.locations.user_file(), "{}");
    let directory = user.parent().unwrap().to_owned();
    let held = Locked::open(&directory, Links::Follow).unwrap();
    let locations = place.locations.clone();
    let waiting = std::thread::spawn(move || add(&locations, &user, WRITE, "/out").unwrap());
    // The other thread has opened the directory once it waits: its descriptor shows in /proc.
    let opened = |directory: &Path| {
        let fds = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        fds.filter(|target| target == directory).count()
    };
    while opened(&directory) < 2 {
        std::thread::yield_now();
    }
    assert_eq!(fs::read_to_string(place.locations.user_file()).unwrap(), "{}");
    drop(held);
    assert_eq!(waiting.join().unwrap(), Change::Made);
}

#[test]
fn a_whole_file_is_saved_only_over_what_was_read() {
    let place = Place::new();
    let user = place.locations.user_file();
    save(&place.locations, &user, b"", b"{}").unwrap();
    assert_eq!(fs::read(&user).unwrap(), b"{}");
    let error = save(&place.locations, &user, b"{ }", b"{\n}").unwrap_err();
    assert!(matches!(error, EditError::Changed { .. }), "{error:?}");
    save(&place.locations, &user, b"{}", b"{").unwrap_err();
    assert_eq!(fs::read(&user).unwrap(), b"{}");
}

#[test]
fn any_path_can_be_written_as_an_entry_that_means_just_it() {
    let entries = ["/plain", "/with space", "/a*b", "/a[b]", "/{x,y}", "/back\\slash", "/ü"];
    for entry in entries {
        let pattern = crate::settings::entry::literal(Path::new(entry)).unwrap();
        crate::settings::entry::fits(crate::settings::list::EntryKind::Path, &pattern).unwrap();
        let mut glob = globset::GlobBuilder::new(&pattern);
        glob.literal_separator(true).backslash_escape(true);
        assert!(glob.build().unwrap().compile_matcher().is_match(entry), "{pattern}");
    }
}
