//! ATTACKS rows 10 and 19 to 24, for real: the system call table, processes outside, filters, executables, storms.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use support::{Launch, Scene, User, Victim, build_32_bit_attack, build_attack};

fn words<'a>(program: &'a Path, arguments: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(program.to_str().unwrap()).chain(arguments.iter().copied()).collect()
}

for_each_user! {
    fn row_10_other_spellings_of_a_system_call_gain_nothing(scene) {
        let program = build_attack("row_10_abi");
        let secret = scene.secret().to_str().unwrap().to_owned();
        let born = scene.outside.join("born").to_str().unwrap().to_owned();
        let mut arguments = vec![secret.as_str(), &born];
        let program32 = build_32_bit_attack("row_10_program32");
        arguments.extend(program32.as_ref().map(|path| path.to_str().unwrap()));
        scene.bare(&words(&program, &arguments)).success().gets_through();
        scene.run(&words(&program, &arguments)).success().holds();
        assert!(!scene.outside.join("born").exists());
    }
}

for_each_user! {
    fn row_19_calls_that_nobody_needs_are_refused(scene) {
        let program = build_attack("row_19_refused");
        scene.bare(&words(&program, &[])).success().gets_through();
        scene.run(&words(&program, &[])).success().holds();
    }
}

for_each_user! {
    fn row_20_processes_outside_are_out_of_reach(scene) {
        let program = build_attack("row_20_outside");
        let mut victim = Victim::start(&scene);
        let pid = victim.pid();
        let argv = words(&program, &[&pid, &victim.address, &victim.fd, &pid]);
        let finished = scene.askance().env("ATTACK_ANCESTORS", "1").run(&argv).success().holds();
        assert!(victim.service.is_alive(), "the process outside is dead\n{finished}");
        // It kills everybody that it may: askance must live to write its report, and its neighbour must live. Where it is root
        // everybody is whoever lives in this PID namespace, lest a hole end the machine.
        let wrapper = "apart=; [ $(id -u) != 0 ] || apart='unshare -pf --mount-proc'
            $apart sh -c 'sleep 1000 & \"$@\"; code=$?; kill $! || code=99; exit $code' sh \"$@\"";
        let finished = scene.askance().env("ATTACK_EVERYONE", "1").wrapped(wrapper).run(&argv).success().holds();
        assert!(finished.report.is_object(), "{finished}");
        scene.bare(&argv).success().gets_through();
        support::network::wait_until("the victim's end, bare", std::time::Duration::from_secs(5), || !victim.service.is_alive());
    }
}

for_each_user! {
    fn row_21_filters_of_its_own_gain_nothing(scene) {
        let program = build_attack("row_21_filters");
        let secret = scene.secret().to_str().unwrap().to_owned();
        let born = scene.outside.join("born");
        let argv = words(&program, &[&secret, born.to_str().unwrap()]);
        scene.bare(&argv).success().gets_through();
        let _ = fs::remove_file(&born);
        scene.run(&argv).success().holds();
        assert!(!born.exists());
    }
}

for_each_user! {
    fn row_23_executing_something_else_gains_no_rights(scene) {
        let program = build_attack("row_23_privileges");
        let set_user_id = scene.beside("set-user-id");
        fs::copy(&program, &set_user_id).unwrap();
        // Somebody else's: root's for an ordinary user, an ordinary user's for root.
        let owner = if scene.user == User::Nobody { 0 } else { 65534 };
        if chown(&set_user_id, Some(owner), Some(owner)).is_err() {
            support::skip("set-user-ID programs", "the tests do not run as root");
            return;
        }
        fs::set_permissions(&set_user_id, fs::Permissions::from_mode(0o6755)).unwrap();
        let secret = scene.secret().to_str().unwrap().to_owned();
        let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].into_iter().find(|path| Path::new(path).exists()).unwrap();
        let argv = words(&program, &[&secret, set_user_id.to_str().unwrap(), scene.workspace.to_str().unwrap(), loader]);
        scene.bare(&argv).success().gets_through();
        fs::remove_file(scene.workspace.join("copy")).unwrap();
        scene.run(&argv).success().holds();
    }
}

/// Storms are the same bare: what matters is that permitted work goes on while they last.
fn storm(scene: &Scene, mode: &str, tries: &str, configure: impl FnOnce(Launch) -> Launch) {
    let program = build_attack("row_24_storms");
    let argv = words(&program, &[mode, scene.workspace.to_str().unwrap(), tries]);
    let finished = configure(scene.askance()).run(&argv).success();
    let attack = finished.attack();
    assert_eq!(attack.through, 0, "{finished}");
    if mode != "descriptors" {
        let opened = finished.stdout.lines().find(|line| line.starts_with("opened ")).unwrap();
        let numbers: Vec<f64> = opened.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(numbers[0] > 0.0, "the prober opened nothing\n{finished}");
        assert!(numbers[1] < 2e6, "a permitted open took {} µs\n{finished}", numbers[1]);
    }
}

for_each_user! {
    fn row_24_opens_that_block_hold_nobody_up(scene) {
        storm(&scene, "fifo", "10000", |launch| launch);
    }
}

for_each_user! {
    fn row_24_bad_pointers_get_their_errno(scene) {
        storm(&scene, "unmapped", "2000", |launch| launch);
    }
}

for_each_user! {
    fn row_24_over_long_paths_get_their_errno(scene) {
        storm(&scene, "long", "2000", |launch| launch);
    }
}

for_each_user! {
    fn row_24_huge_lengths_are_refused(scene) {
        storm(&scene, "lengths", "200", |launch| launch);
    }
}

for_each_user! {
    fn row_24_running_out_of_descriptors_passes(scene) {
        storm(&scene, "descriptors", "1", |launch| launch.wrapped("ulimit -n 256; exec \"$@\""));
    }
}

for_each_user! {
    fn row_24_a_thousand_children_die_with_the_run(scene) {
        storm(&scene, "forks", "1000", |launch| launch);
    }
}

for_each_user! {
    fn row_24_ten_thousand_refused_reads_keep_memory_and_work_going(scene) {
        let secret = scene.secret();
        let program = build_attack("row_24_storms");
        let argv = words(&program, &["questions", scene.workspace.to_str().unwrap(), secret.to_str().unwrap(), "3000"]);
        let finished = scene.run(&argv).success();
        assert_eq!(finished.attack().through, 0, "{finished}");
        assert_eq!(finished.denied(), [format!("read {}", secret.display())]);
    }
}
