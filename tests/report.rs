//! The report: one JSON object that says what was asked for, decided, asked, denied and done.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Scene, User};

for_each_user! {
    fn a_report_tells_the_whole_run(scene) {
        let out = scene.outside.join("f");
        let finished = scene.askance().env("GITHUB_TOKEN", "x").answers(format!("write {} once\n", out.display()))
            .shell(&format!("echo a > {}; cat ~/.ssh/id_x; cat ~/.ssh/id_x; exit 3", out.display())).exits(3);
        let report = &finished.report;
        assert!(report["run"].is_string() || report["run"].is_number(), "{finished}");
        assert_eq!(report["request"]["argv"][0], "sh", "{finished}");
        assert_eq!(report["request"]["cwd"], scene.workspace.to_str().unwrap(), "{finished}");
        assert_eq!(report["request"]["workspace"], scene.workspace.to_str().unwrap(), "{finished}");
        assert_eq!(report["exit"]["code"], 3, "{finished}");
        assert!(report["duration_ms"].is_number(), "{finished}");
        assert!(report["floor"]["landlock_abi"].as_i64().is_some_and(|abi| abi >= 3), "{finished}");
        assert!(report["floor"]["missing"].is_array(), "{finished}");
        assert!(report["environment_removed"].to_string().contains("GITHUB_TOKEN"), "{finished}");

        let question = &report["questions"][0];
        assert_eq!(question["operation"], "write");
        assert_eq!(question["target"], out.to_str().unwrap());
        assert_eq!(question["answer"], "once");
        assert!(question["reason"].is_string() && question["waited_ms"].is_number(), "{finished}");
        assert!(question["process"]["pid"].as_i64().is_some_and(|pid| pid > 1), "{finished}");
        assert!(question["process"]["program"].as_str().is_some_and(|program| program.contains("sh")), "{finished}");
        assert!(question["process"]["argv"].is_array(), "{finished}");

        let denial = &report["denied"][0];
        assert_eq!(denial["operation"], "read");
        assert_eq!(denial["target"], scene.secret().to_str().unwrap());
        assert_eq!(denial["count"], 2, "{finished}");
        assert!(denial["rule"].to_string().contains(".ssh"), "{finished}");
        assert!(denial["hint"].as_str().is_some_and(|hint| hint.starts_with("askance allow read")), "{finished}");
    }
}

for_each_user! {
    fn a_signal_is_reported_as_a_signal(scene) {
        let finished = scene.shell("kill -TERM $$").exits(143);
        let exit = finished.report.get("signal").or_else(|| finished.report["exit"].get("signal"));
        assert!(exit.is_some_and(|signal| signal == 15 || signal == "SIGTERM" || signal == "TERM"), "{finished}");
    }
}

for_each_user! {
    fn a_report_that_cannot_be_written_is_said_and_costs_nothing_else(scene) {
        let finished = scene.cli(&["run", "--prompt", "deny", "--report", "/no/such/dir/r.json", "--", "sh", "-c", "echo ran"]);
        assert!(finished.stderr.contains("/no/such/dir/r.json"), "{finished}");
        // Either nothing ran and it says 125, or the command's own status stands.
        assert!(finished.code() == 125 || finished.stdout.contains("ran"), "{finished}");
    }
}

for_each_user! {
    fn questions_for_each_operation_use_its_word(scene) {
        let out = scene.outside.display();
        let line = format!("cat ~/.ssh/id_x; echo x > {out}/f; /usr/bin/python3 -c \"import socket; socket.socket().connect_ex(('192.0.2.1', 443))\"; true");
        let denied = scene.shell(&line).success().denied();
        for expected in [format!("read {}", scene.secret().display()), format!("write {out}/f"), "connect 192.0.2.1:443".to_owned()] {
            assert!(denied.contains(&expected), "{expected} is missing: {denied:#?}");
        }
    }
}

for_each_user! {
    fn a_name_that_is_no_text_is_reported_too(scene) {
        let line = "touch \"$(printf 'a\\377b')\"; mv \"$(printf 'a\\377b')\" \"$(printf 'c\\376')\"; exit 3";
        let finished = scene.shell(line).exits(3);
        let files = finished.report["files"].as_array().unwrap();
        assert!(files.iter().any(|file| file["path"].as_str().unwrap().ends_with("/c\u{fffd}")), "{finished}");
        scene.shell("echo x > \"/etc/$(printf 'a\\377b')\"; exit 4").exits(4);
    }
}

for_each_user! {
    fn a_refused_run_is_reported_with_its_decision(scene) {
        scene.user_settings("{\n  \"commandBlocklist\": [\"touch ran\"]\n}\n");
        let finished = scene.shell("touch ran").exits(126);
        let decision = &finished.report["decision"];
        assert_eq!(decision["verdict"], "refuse", "{finished}");
        assert!(decision["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{finished}");
        assert_eq!(decision["rule"]["text"], "commandBlocklist: touch ran", "{finished}");
        assert!(finished.report["floor"]["landlock_abi"].as_i64().is_some_and(|abi| abi >= 3), "{finished}");
        assert!(decision["rule"]["source"].as_str().is_some_and(|source| source.ends_with("settings.json:2")), "{finished}");
        assert_eq!(finished.report["exit"]["code"], 126, "{finished}");
        // Nobody is there to answer: an interlock's question is refused, and reported so.
        let finished = scene.shell("rm -rf ~").exits(126);
        assert_eq!(finished.report["decision"]["verdict"], "refuse", "{finished}");
        assert!(finished.report["decision"]["rule"]["text"].as_str().is_some_and(|rule| rule.contains("interlock")), "{finished}");
        assert!(!scene.workspace.join("ran").exists());
    }
}

for_each_user! {
    fn row_33_names_put_in_a_reports_way_lead_it_nowhere_else(scene) {
        let victim = scene.home.join(".bashrc");
        scene.file(&victim, "# original\n");
        scene.make_dir(&scene.workspace.join("sub"));
        scene.file(&scene.workspace.join("old.json"), "older than the run\n");
        let elsewhere = scene.home.display();
        let plants = [
            ("report.json", format!("ln -s {elsewhere}/.bashrc report.json")),
            ("old.json", format!("rm old.json && ln -s {elsewhere}/.bashrc old.json")),
            ("old.json", "rm old.json && echo forged > old.json && ln old.json second".to_owned()),
            ("sub/.bashrc", format!("mv sub moved && ln -s {elsewhere} sub")),
            ("pipe.json", "mkfifo pipe.json".to_owned()),
        ];
        for (name, plant) in plants {
            let path = scene.workspace.join(name);
            let flags = ["run", "--prompt", "deny", "--report", path.to_str().unwrap(), "--", "sh", "-c", &plant];
            scene.cli(&flags).success();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "# original\n", "{plant}");
            let path = if name.starts_with("sub") { scene.workspace.join("moved/.bashrc") } else { path };
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{plant}");
            let report: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(report["request"]["argv"][2], plant.as_str());
        }
        assert_eq!(fs::read_to_string(scene.workspace.join("second")).unwrap(), "forged\n");
    }
}

for_each_user! {
    fn a_report_goes_where_its_name_leads_before_the_run(scene) {
        let report = |path: &str| {
            let line = format!("{} run --prompt deny --report {path} -- true", support::scene::binary(scene.user).display());
            scene.bare_shell(&line).success();
        };
        let target = scene.workspace.join("target.json");
        scene.file(&target, "a longer text than a report is, no doubt\n".repeat(2000));
        scene.bare_shell("ln -s target.json link.json; ln -s fresh.json dangling.json; mkdir d; mkfifo d/pipe").success();
        report("link.json");
        report("link.json");
        assert!(fs::symlink_metadata(scene.workspace.join("link.json")).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().ends_with("}\n"));
        report("dangling.json");
        report("d/../new.json");
        assert!(fs::read_to_string(scene.workspace.join("new.json")).unwrap().starts_with('{'));
        let piped = scene.bare_shell(&format!(
            "{0} run --prompt deny --report /dev/stdout -- echo out | cat; cat d/pipe > read & {0} run --prompt deny --report d/pipe -- true; wait; head -c 1 read",
            support::scene::binary(scene.user).display()
        )).success();
        assert!(piped.stdout.starts_with("out\n{") && piped.stdout.ends_with('{'), "{piped}");
        scene.cli(&["run", "--prompt", "deny", "--report", "/", "--", "true"]).exits(125);
    }
}
