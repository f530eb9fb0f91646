//! Settings files: layers, mistakes, edits that keep comments, explanations.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Scene, User};

for_each_user! {
    fn malformed_settings_name_file_line_and_column_and_nothing_runs(scene) {
        for path in [scene.user_settings_path(), scene.local_settings_path()] {
            scene.file(&path, "{\n  \"sandbox\": {\n    \"filesystem\": [oops\n  }\n}\n");
            let finished = scene.shell("touch ran").exits(125).complains(path.to_str().unwrap());
            let message = finished.stderr.split(path.to_str().unwrap()).nth(1).unwrap().to_owned();
            assert!(message.starts_with(":3:"), "no line and column: {message}");
            assert!(!scene.workspace.join("ran").exists());
            fs::remove_file(&path).unwrap();
        }
    }
}

for_each_user! {
    fn an_unknown_key_is_an_error_with_the_nearest_name(scene) {
        for (text, near) in [
            (r#"{ "sandbox": { "filesystem": { "allowWrites": [] } } }"#, "allowWrite"),
            (r#"{ "sandbox": { "netwrok": {} } }"#, "network"),
            (r#"{ "sandboxx": {} }"#, "sandbox"),
        ] {
            scene.user_settings(text);
            scene.shell("true").exits(125).complains(near);
        }
        scene.user_settings(r#"{ "sandbox": { "filesystem": { "allowWrite": "not a list" } } }"#);
        scene.shell("true").exits(125).complains("allowWrite");
    }
}

for_each_user! {
    fn row_28_a_project_cannot_let_itself_out(scene) {
        let out = scene.outside.join("f");
        for file in [".askance/settings.json", "sub/.askance/settings.json"] {
            scene.file(&scene.workspace.join(file), r#"{ "sandbox": { "enabled": false, "filesystem": { "allowRead": ["/", "~/.ssh"], "allowWrite": ["/"] }, "network": { "allowedDomains": ["*"] }, "env": { "allow": ["*"] } } }"#);
            let finished = scene.askance().env("GITHUB_TOKEN", "TOP-SECRET")
                .shell(&format!("cd sub 2>/dev/null; echo $GITHUB_TOKEN; cat ~/.ssh/id_x; echo x > {}", out.display()));
            assert!(!finished.stdout.contains("TOP-SECRET"), "{finished}");
            assert!(!out.exists(), "{finished}");
            fs::remove_file(scene.workspace.join(file)).unwrap();
        }
    }
}

for_each_user! {
    fn what_a_project_forbids_counts_without_trust(scene) {
        scene.file(&scene.workspace.join("private"), "mine\n");
        scene.file(&scene.workspace.join(".askance/settings.json"), r#"{ "sandbox": { "filesystem": { "blockRead": ["./private"] } } }"#);
        scene.shell("cat private").fails();
    }
}

for_each_user! {
    fn edits_keep_comments_order_and_everything_else(scene) {
        let text = "// head\n{\n  // mine\n  \"sandbox\": {\n    \"network\": { \"allowedDomains\": [\"a.example.com\"] }, // trailing\n    \"filesystem\": {\n      \"allowWrite\": [\n        \"/one\", // why one\n      ],\n    },\n  },\n}\n";
        let path = scene.user_settings(text);
        scene.cli(&["allow", "write", "/two", "--user"]).success();
        let edited = fs::read_to_string(&path).unwrap();
        for part in ["// head", "// mine", "// trailing", "// why one", "\"/two\"", "a.example.com"] {
            assert!(edited.contains(part), "{part} is missing: {edited}");
        }
        scene.cli(&["forget", "write", "/two", "--user"]).success();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        scene.cli(&["forget", "write", "/never-there"]).fails();
    }
}

for_each_user! {
    fn edits_at_the_same_time_all_count(scene) {
        scene.user_settings("{}\n");
        let running: Vec<_> = (0..12).map(|number| {
            support::Launch::new(&scene, Some(["allow", "write", &format!("/dir{number}"), "--user"].map(str::to_owned).to_vec())).start(&[])
        }).collect();
        for run in running {
            run.wait().success();
        }
        let text = fs::read_to_string(scene.user_settings_path()).unwrap();
        for number in 0..12 {
            assert!(text.contains(&format!("\"/dir{number}\"")), "{text}");
        }
    }
}

for_each_user! {
    fn a_block_stands_whatever_allows(scene) {
        let out = scene.outside.display();
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "filesystem": {{ "allowWrite": ["{out}"], "blockWrite": ["{out}/no"] }} }} }}"#));
        scene.shell(&format!("echo x > {out}/yes")).success().asks_nothing();
        let finished = scene.askance().answers("write /** once\n").shell(&format!("echo x > {out}/no")).fails();
        assert_eq!(finished.questions(), Vec::<String>::new(), "{finished}");
        // No `askance allow` could help, so none is offered: the rule is named.
        assert!(finished.report["denied"][0]["hint"].is_null(), "{finished}");
        let line = format!("denied write {out}/no (sandbox.filesystem.blockWrite: {out}/no)");
        assert!(finished.stderr.contains(&line) && !finished.stderr.contains("to allow it"), "{finished}");
    }
}

for_each_user! {
    fn the_longer_path_decides_between_allow_and_deny(scene) {
        let out = scene.outside.display();
        scene.user_settings(&format!(r#"{{ "sandbox": {{ "filesystem": {{ "denyRead": ["{out}"], "allowRead": ["{out}/public"] }} }} }}"#));
        scene.file(&scene.outside.join("public/f"), "public\n");
        scene.file(&scene.outside.join("private"), "private\n");
        scene.shell(&format!("cat {out}/public/f")).success().says("public").asks_nothing();
        scene.shell(&format!("cat {out}/private")).fails().denies(&format!("read {out}/private"));
    }
}

for_each_user! {
    fn why_names_the_rule_and_its_file(scene) {
        let path = scene.user_settings("{\n  \"sandbox\": { \"filesystem\": {\n    \"denyWrite\": [\"/srv/kept\"]\n  } }\n}\n");
        let finished = scene.cli(&["why", "write", "/srv/kept/file"]).says("/srv/kept");
        assert!(finished.stdout.contains(path.to_str().unwrap()), "{finished}");
        scene.cli(&["why", "read", scene.secret().to_str().unwrap()]).says("~/.ssh");
        scene.cli(&["why", "read", "/etc/passwd"]).says("allow");
        scene.cli(&["why", "connect", "api.example.com:443"]).says("api.example.com:443");
    }
}

for_each_user! {
    fn show_names_the_source_of_every_value(scene) {
        let path = scene.user_settings("{ \"sandbox\": { \"filesystem\": { \"allowWrite\": [\"/srv/mine\"] } } }\n");
        let finished = scene.cli(&["settings", "show"]).success().says("/srv/mine");
        assert!(finished.stdout.contains(path.to_str().unwrap()), "{finished}");
        let paths = scene.cli(&["settings", "paths"]).success();
        for file in [&path, &scene.local_settings_path()] {
            assert!(paths.stdout.contains(file.to_str().unwrap()), "{paths}");
        }
    }
}

for_each_user! {
    fn defaults_are_settings_and_the_schema_describes_them(scene) {
        let defaults = scene.cli(&["settings", "defaults"]).success();
        scene.user_settings(&defaults.stdout);
        scene.shell("true").success();
        let schema: serde_json::Value = serde_json::from_str(&scene.cli(&["settings", "schema"]).success().stdout).unwrap();
        assert!(schema["$schema"].is_string() && schema.to_string().contains("allowWrite"), "{schema:#}");
    }
}

for_each_user! {
    fn what_is_always_allowed_holds_at_once_for_a_run_that_is_already_there(scene) {
        let out = scene.outside.display();
        let waiting = scene.askance().start(&["sh", "-c", &format!("touch started; while ! test -e go; do sleep 0.01; done; echo x > {out}/late")]);
        support::network::wait_until("the start", std::time::Duration::from_secs(20), || scene.workspace.join("started").exists());
        scene.askance().answers(format!("write {out}/** always directory user\n")).shell(&format!("echo x > {out}/early")).success();
        scene.file(&scene.workspace.join("go"), "");
        waiting.wait().success();
        assert!(scene.outside.join("late").exists());
    }
}

for_each_user! {
    fn completions_are_printed_for_each_shell(scene) {
        for shell in ["bash", "zsh", "fish"] {
            scene.cli(&["completions", shell]).success().says("askance");
        }
    }
}
