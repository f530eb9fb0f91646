//! ATTACKS rows 1 to 9c and 27, for real: files, names, descriptors, the processes next door. Each attack runs bare first,
//! where it must get through (otherwise holding it proves nothing), then sandboxed, where it must be held.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::network::{Greeter, Service, Sink};
use support::{Finished, Launch, Scene, User, Victim, build_attack, race_limit};

/// The program with its arguments, as words.
fn words<'a>(program: &'a Path, arguments: &'a [String]) -> Vec<&'a str> {
    std::iter::once(program.to_str().unwrap()).chain(arguments.iter().map(String::as_str)).collect()
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

/// Runs an attack bare in a scene of its own and sandboxed in `scene`; `prepare` gives each its arguments.
fn held(
    scene: &Scene,
    name: &str,
    prepare: impl Fn(&Scene) -> Vec<String>,
    configure: impl FnOnce(Launch) -> Launch,
) -> Finished {
    let program = build_attack(name);
    bare_gets_through(scene, &program, &prepare);
    let arguments = prepare(scene);
    configure(scene.askance()).run(&words(&program, &arguments)).success().holds()
}

/// How often a race is run bare until it is won once: on a busy machine it may be lost for seconds.
const BARE_TRIES: usize = 10;

/// The attack works where nothing holds it, in a scene of its own; the last try has to.
fn bare_gets_through(scene: &Scene, program: &Path, prepare: &impl Fn(&Scene) -> Vec<String>) {
    let try_bare = || {
        let other = Scene::new(scene.user);
        let arguments = prepare(&other);
        other.bare(&words(program, &arguments)).success()
    };
    if (1..BARE_TRIES).any(|_| try_bare().attack().through > 0) {
        return;
    }
    try_bare().gets_through();
}

/// A race that was held counts only when the harmless side of it went on working.
fn some_worked(finished: &Finished) {
    let line = finished.stdout.lines().find(|line| line.starts_with("opened ") || line.starts_with("worked "));
    let worked: u64 = line.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert!(worked > 0, "nothing worked at all\n{finished}");
}

/// Files outside that must neither change nor vanish: content, mode, owner, times, links, attributes.
fn fingerprint(dir: &Path) -> String {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
        let change = (metadata.mtime_nsec(), metadata.mtime(), metadata.ctime(), metadata.ctime_nsec());
        lines.push(format!(
            "{} {content:?} {:o} {} {} {change:?}",
            path.display(),
            metadata.mode(),
            metadata.uid(),
            metadata.nlink()
        ));
    }
    lines.sort();
    lines.join("\n")
}

fn canary(scene: &Scene) -> String {
    let path = scene.outside.join("canary");
    if !path.exists() {
        scene.file(&path, "untouched\n");
    }
    scene.make_dir(&scene.outside.join("sub"));
    text(path)
}

fn race(mode: &str, arguments: &[String]) -> Vec<String> {
    let mut all = vec![mode.to_owned()];
    all.extend_from_slice(arguments);
    all.extend(race_limit());
    all
}

for_each_user! {
    fn row_01_a_flipped_path_opens_only_what_was_judged(scene) {
        let prepare = |scene: &Scene| {
            let good = scene.workspace.join("good");
            scene.file(&good, "harmless\n");
            race("open", &[text(good), text(scene.secret())])
        };
        some_worked(&held(&scene, "row_01_flip", prepare, |launch| launch));
    }
}

for_each_user! {
    fn row_01_a_flipped_path_creates_only_what_was_judged(scene) {
        let prepare = |scene: &Scene| race("create", &[text(scene.workspace.join("born")), text(scene.outside.join("born"))]);
        some_worked(&held(&scene, "row_01_flip", prepare, |launch| launch));
        assert!(!scene.outside.join("born").exists());
    }
}

for_each_user! {
    fn row_01_flipped_open_flags_do_not_open_for_writing(scene) {
        let prepare = |scene: &Scene| race("how", &[canary(scene)]);
        some_worked(&held(&scene, "row_01_flip", prepare, |launch| launch));
    }
}

for_each_user! {
    fn row_01_a_flipped_address_connects_only_to_what_was_judged(scene) {
        for mode in ["connect", "stream"] {
            let (good, bad) = (Greeter::start(), Greeter::start());
            let prepare = |_: &Scene| race(mode, &[good.port.to_string(), bad.port.to_string()]);
            let allowed = format!("--allow-domain=127.0.0.1:{}", good.port);
            some_worked(&held(&scene, "row_01_flip", prepare, |launch| launch.flags(&[allowed])));
        }
    }
}

for_each_user! {
    fn row_01_a_flipped_message_name_sends_only_where_it_was_judged(scene) {
        let (good, bad) = (Sink::start(), Sink::start());
        let program = build_attack("row_01_flip");
        let arguments = race("send", &[good.port.to_string(), bad.port.to_string()]);
        scene.bare(&words(&program, &arguments)).success();
        assert!(bad.arrived() > 0, "the attack does not even work bare");
        let allowed = format!("--allow-domain=127.0.0.1:{}", good.port);
        let finished = scene.askance().flags(&[allowed]).run(&words(&program, &arguments)).success();
        some_worked(&finished);
        assert_eq!(bad.arrived(), 0, "datagrams arrived where none may\n{finished}");
    }
}

fn swap(scene: &Scene, mode: &str) {
    let prepare = |scene: &Scene| {
        let good = scene.workspace.join("gooddir");
        let writes = mode.ends_with("-write");
        let bad = if writes { scene.outside.clone() } else { scene.home.join(".ssh") };
        scene.make_dir(&good);
        if !writes {
            scene.file(&good.join("id_x"), "harmless\n");
        }
        let name = if writes { "born" } else { "id_x" };
        race(mode, &[text(&scene.workspace), text(good), text(bad), name.into()])
    };
    some_worked(&held(scene, "row_02_swap", prepare, |launch| launch));
    assert!(!scene.outside.join("born").exists());
}

for_each_user! {
    fn row_02_a_swapped_link_at_any_component_leads_nowhere_else(scene) {
        for mode in ["last", "middle", "first", "exchange"] {
            let fresh = Scene::new(scene.user);
            swap(&fresh, mode);
        }
    }
}

for_each_user! {
    fn row_02_a_swapped_directory_descriptor_leads_nowhere_else(scene) {
        swap(&scene, "dup2");
        swap(&Scene::new(scene.user), "dup2-write");
    }
}

for_each_user! {
    fn row_02_a_moved_working_directory_leads_nowhere_else(scene) {
        swap(&scene, "cwd");
        swap(&Scene::new(scene.user), "cwd-write");
    }
}

for_each_user! {
    fn row_03_no_spelling_and_no_process_gives_the_secret(scene) {
        let program = build_attack("row_03_proc");
        let victim = Victim::start(&scene);
        let arguments = [text(scene.secret()), victim.pid(), victim.fd.clone()];
        scene.bare(&words(&program, &arguments)).success().gets_through();
        scene.run(&words(&program, &arguments)).success().holds();
    }
}

for_each_user! {
    fn row_04_a_killed_process_creates_nothing_afterwards(scene) {
        let prepare = |scene: &Scene| {
            let mut arguments = vec![text(scene.outside.join("born"))];
            arguments.extend(race_limit());
            arguments
        };
        held(&scene, "row_04_dies", prepare, |launch| launch);
        assert!(!scene.outside.join("born").exists());
    }
}

for_each_user! {
    fn row_05_moving_and_linking_gain_no_rights(scene) {
        let prepare = |scene: &Scene| {
            canary(scene);
            vec![text(&scene.workspace), text(scene.secret()), text(&scene.outside)]
        };
        canary(&scene);
        let before = fingerprint(&scene.outside);
        held(&scene, "row_05_moves", prepare, |launch| launch);
        assert_eq!(fingerprint(&scene.outside), before);
        assert!(scene.secret().exists());
    }
}

for_each_user! {
    fn row_06_metadata_outside_stays_as_it_is(scene) {
        let program = build_attack("row_06_metadata");
        let path = canary(&scene);
        scene.bare_shell(&format!("cd {}; python3 -c 'import os; os.setxattr(\"canary\", \"user.kept\", b\"v\"); os.setxattr(\"canary\", \"user.kept2\", b\"v\")'", scene.outside.display())).success();
        let before = fingerprint(&scene.outside);
        scene.run(&words(&program, std::slice::from_ref(&path))).success().holds();
        assert_eq!(fingerprint(&scene.outside), before);
        // Last, because it changes everything.
        scene.bare(&words(&program, &[path])).success().gets_through();
    }
}

for_each_user! {
    fn row_07_content_changes_only_through_a_descriptor_granted_for_writing(scene) {
        let program = build_attack("row_07_content");
        let path = canary(&scene);
        let before = fingerprint(&scene.outside);
        scene.run(&words(&program, std::slice::from_ref(&path))).success().holds();
        assert_eq!(fingerprint(&scene.outside), before);
        scene.bare(&words(&program, &[path])).success().gets_through();
    }
}

for_each_user! {
    fn row_08_descriptors_of_the_caller_are_closed(scene) {
        let program = build_attack("row_08_descriptors");
        let inherit = format!("exec 9<{} 7</etc; exec \"$@\"", scene.secret().display());
        Launch::new(&scene, None).wrapped(&inherit).run(&words(&program, &[])).success().gets_through();
        scene.askance().wrapped(&inherit).run(&words(&program, &[])).success().holds();
    }
}

const HANDS_OVER: &str = r#"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
fd = os.open(sys.argv[2], os.O_RDONLY)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    socket.send_fds(connection, [b"x"], [fd])
"#;

for_each_user! {
    fn row_09_descriptors_come_only_from_an_approved_service(scene) {
        let program = build_attack("row_09_scm_rights");
        let socket = text(scene.outside.join("service"));
        let _service = Service::python(&scene, HANDS_OVER, &[&socket, &text(scene.secret())]);
        let arguments = [socket.clone()];
        scene.bare(&words(&program, &arguments)).success().gets_through();
        scene.run(&words(&program, &arguments)).success().holds().denies(&format!("unix {socket}"));
        // Approved, it works as natively.
        scene.askance().answers(format!("unix {socket} once\n")).run(&words(&program, &arguments)).success().gets_through();
    }
}

for_each_user! {
    fn row_09a_flipped_arguments_never_run(scene) {
        let program = build_attack("row_09a_argv_flip");
        scene.user_settings(r#"{ "commandBlocklist": ["row_09a_argv_flip ran evil"] }"#);
        let [tries, seconds] = race_limit();
        let arguments = [tries, seconds, "good".into(), "evil".into()];
        scene.bare(&words(&program, &arguments)).success().gets_through();
        scene.run(&words(&program, &arguments)).success().holds();
    }
}

for_each_user! {
    fn row_09a_a_path_flipped_from_nothing_never_runs(scene) {
        let program = build_attack("row_09a_path_flip");
        scene.user_settings(r#"{ "commandBlocklist": ["row_09a_path_flip ran evil"] }"#);
        let [tries, seconds] = race_limit();
        let arguments = [tries, seconds, "evil".into()];
        scene.bare(&words(&program, &arguments)).success().gets_through();
        scene.run(&words(&program, &arguments)).success().holds();
    }
}

for_each_user! {
    fn row_09b_limits_priorities_and_objects_outside_are_out_of_reach(scene) {
        let program = build_attack("row_09b_neighbours");
        for sandboxed in [false, true] {
            let mut victim = Victim::start(&scene);
            let arguments = [victim.pid(), victim.shm.clone(), victim.sem.clone(), victim.msg.clone(), text(scene.home.join(".ssh"))];
            if sandboxed {
                scene.run(&words(&program, &arguments)).success().holds();
                assert!(victim.service.is_alive());
            } else {
                scene.bare(&words(&program, &arguments)).success().gets_through();
            }
        }
    }
}

for_each_user! {
    fn row_09c_rights_follow_names_when_a_hooks_directory_moves(scene) {
        let prepare = |scene: &Scene| {
            scene.make_repository();
            vec![text(scene.workspace.join(".git/hooks")), "pre-commit".into()]
        };
        held(&scene, "row_09c_names", prepare, |launch| launch);
        assert!(!scene.workspace.join(".git/hooks/pre-commit").exists());
    }
}

for_each_user! {
    fn row_09c_rights_follow_names_beneath_a_granted_directory(scene) {
        let prepare = |scene: &Scene| {
            scene.file(&scene.outside.join("granted/kept/original"), "original\n");
            vec![text(scene.outside.join("granted/kept")), "planted".into()]
        };
        scene.user_settings(&format!(
            r#"{{ "sandbox": {{ "filesystem": {{ "allowWrite": ["{0}/granted"], "denyWrite": ["{0}/granted/kept"] }} }} }}"#,
            scene.outside.display()
        ));
        held(&scene, "row_09c_names", prepare, |launch| launch);
        assert_eq!(fs::read_to_string(scene.outside.join("granted/kept/original")).unwrap(), "original\n");
        assert!(!scene.outside.join("granted/kept/planted").exists());
    }
}

for_each_user! {
    fn row_27_nothing_that_others_execute_later_is_planted(scene) {
        let prepare = |scene: &Scene| {
            scene.make_repository();
            scene.file(&scene.home.join(".bashrc"), "# original\n");
            vec![text(&scene.workspace), text(&scene.home)]
        };
        held(&scene, "row_27_persist", prepare, |launch| launch);
        assert_eq!(fs::read_to_string(scene.home.join(".bashrc")).unwrap(), "# original\n");
    }
}
