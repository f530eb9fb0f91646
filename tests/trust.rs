//! Whose word counts: trust in a repository's settings, the organisation's last word, variables, profiles.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Finished, Launch, Scene, User, skip};

fn shown(finished: &Finished, entry: &str) -> bool {
    finished.stdout.lines().any(|line| !line.starts_with('#') && line.contains(&format!("\"{entry}\"")))
}

for_each_user! {
    fn a_projects_settings_widen_only_once_they_are_trusted(scene) {
        let file = scene.workspace.join(".askance/settings.json");
        let generous = "{ \"sandbox\": { \"filesystem\": { \"allowWrite\": [\"/srv/all\"], \"denyRead\": [\"notes\"] } } }";
        scene.file(&file, generous);
        let show = || scene.cli(&["settings", "show"]).success();
        let before = show();
        assert!(!shown(&before, "/srv/all") && shown(&before, "notes"), "{before}");
        assert!(before.stdout.contains("askance trust"), "{before}");

        // Nobody is there to ask: nothing becomes trusted.
        let finished = Launch::new(&scene, Some(vec!["trust".into()])).wrapped("exec setsid -w \"$@\"").finish(&[]);
        finished.exits(125).complains("askance trust --yes");
        assert!(!shown(&show(), "/srv/all"));

        scene.cli(&["trust", "--yes"]).success().says(file.to_str().unwrap());
        assert!(shown(&show(), "/srv/all"));
        scene.cli(&["trust", "--list"]).success().says(file.to_str().unwrap());
        scene.cli(&["trust", "--yes"]).success().says("nothing here needs trust");

        scene.file(&file, generous.replace("/srv/all", "/srv/more"));
        let changed = show();
        assert!(!shown(&changed, "/srv/more") && shown(&changed, "notes"), "{changed}");
        scene.cli(&["trust", "--list"]).success().says("changed since");

        scene.file(&file, generous);
        assert!(shown(&show(), "/srv/all"));
        scene.cli(&["trust", "--revoke", ".askance/settings.json"]).success();
        assert!(!shown(&show(), "/srv/all"));
        scene.cli(&["trust", "--revoke", ".askance/settings.json"]).exits(1);
        scene.cli(&["trust", "--yes", "absent/.askance/settings.json"]).exits(125).complains("does not exist");
    }
}

for_each_user! {
    fn trust_is_of_one_content_at_one_place(scene) {
        let generous = "{ \"sandbox\": { \"filesystem\": { \"allowWrite\": [\"/srv/all\"] } } }";
        let project = scene.workspace.join(".askance");
        let file = project.join("settings.json");
        scene.file(&file, generous);
        scene.cli(&["trust", "--yes"]).success();
        let counts = |dir: &std::path::Path| {
            let show = ["settings", "show"].map(str::to_owned).to_vec();
            shown(&Launch::new(&scene, Some(show)).cwd(dir).finish(&[]).success(), "/srv/all")
        };
        assert!(counts(&scene.workspace));
        // A hard link to it, a copy, a moved directory: other places, though the content is the same.
        let other = scene.beside("other");
        scene.make_dir(&other.join(".askance"));
        scene.bare_shell(&format!("ln {} {}/.askance/settings.json", file.display(), other.display())).success();
        assert!(!counts(&other));
        // Written through the other name it is another content here too.
        scene.bare_shell(&format!("echo >> {}/.askance/settings.json", other.display())).success();
        assert!(!counts(&scene.workspace));
        scene.file(&file, generous);
        assert!(counts(&scene.workspace));
        scene.bare_shell(&format!("mv {} {}", project.display(), scene.outside.join("kept").display())).success();
        scene.cli(&["trust", "--list"]).success().says("(gone)");
        // By a link to the directory it is the same file under the same name, and can be revoked by it.
        std::os::unix::fs::symlink(scene.outside.join("kept"), &project).unwrap();
        assert!(counts(&scene.workspace));
        scene.cli(&["trust", "--revoke", ".askance/settings.json"]).success();
        assert!(!counts(&scene.workspace));
        scene.cli(&["trust", "--yes", ".askance/settings.json"]).success();
        assert!(counts(&scene.workspace));
        fs::remove_file(&project).unwrap();
        scene.cli(&["trust", "--revoke", ".askance/settings.json"]).success();
    }
}

for_each_user! {
    fn a_store_of_trust_that_was_tampered_with_stops_everything(scene) {
        scene.file(&scene.workspace.join(".askance/settings.json"), "{ \"maxAutonomyLevel\": \"high\" }");
        scene.cli(&["trust", "--yes"]).success();
        let store = scene.home.join(".local/state/askance/trust");
        let good = fs::read(&store).unwrap();
        let stops = |why: &str| {
            scene.shell("touch ran").exits(125).complains(why);
            scene.cli(&["trust", "--list"]).exits(125).complains(why);
            assert!(!scene.workspace.join("ran").exists());
            fs::remove_file(&store).unwrap();
            scene.file(&store, &good);
            fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            scene.shell("true").success();
        };
        for damage in ["printf x >> ", "printf '%064d relative/path\\n' 0 >> ", "chmod 666 "] {
            scene.bare_shell(&format!("{damage}{}", store.display())).success();
            stops(store.to_str().unwrap());
        }
        scene.bare_shell(&format!("rm {0}; mkfifo -m 600 {0}", store.display())).success();
        stops(store.to_str().unwrap());
        scene.bare_shell(&format!("head -c 2000000 /dev/zero > {}", store.display())).success();
        stops(store.to_str().unwrap());
        // A run cannot write it, under its own name or another.
        let line = format!("echo x >> {0}; ln {0} t && echo x >> t; ln -s {0} s && echo x >> s; cp s {0}.new && mv {0}.new {0}", store.display());
        scene.shell(&line).fails();
        assert_eq!(fs::read(&store).unwrap(), good);
    }
}

for_each_user! {
    fn a_run_obeys_trust(scene) {
        let out = scene.outside.join("f");
        let file = scene.workspace.join(".askance/settings.json");
        scene.file(&file, format!("{{ \"sandbox\": {{ \"filesystem\": {{ \"allowWrite\": [\"{}\"] }} }} }}", scene.outside.display()));
        let line = format!("echo x > {}", out.display());
        scene.shell(&line).fails();
        scene.cli(&["trust", "--yes"]).success();
        scene.shell(&line).success().asks_nothing();
    }
}

for_each_user! {
    fn variables_are_the_runtime_layer_below_the_flags(scene) {
        let show = |flags: &[&str], variable: &str| {
            let arguments = [&["settings", "show"], flags].concat().iter().map(ToString::to_string).collect();
            Launch::new(&scene, Some(arguments)).env("ASKANCE_SETTINGS", variable).finish(&[])
        };
        scene.user_settings("{ \"sandbox\": { \"limits\": { \"processes\": 7 } } }");
        let text = "{ \"sandbox\": { \"limits\": { \"processes\": 8 }, \"filesystem\": { \"allowRead\": [\"/srv/v\"] } } }";
        let finished = show(&["--allow-read", "/srv/f"], text).success();
        assert!(finished.stdout.contains("sandbox.limits.processes: 8  (runtime, ASKANCE_SETTINGS:1)"), "{finished}");
        assert!(shown(&finished, "/srv/v") && shown(&finished, "/srv/f"), "{finished}");
        show(&[], "{ \"sandbx\": 1 }").exits(125).complains("ASKANCE_SETTINGS:1:3: unknown key");
        show(&["--allow-domain", "no domain"], "").exits(125).complains("no domain");
        show(&["--profile", "no-such"], "").exits(125).complains("no-such");
        let arguments = ["settings", "show"].map(str::to_owned).to_vec();
        Launch::new(&scene, Some(arguments)).env("ASKANCE_PROFILE", "read-only,git").finish(&[])
            .success().says("profile read-only:").says("profile git:");
    }
}

#[test]
fn the_organisation_has_the_last_word_or_nothing_runs() {
    let scene = Scene::new(User::Caller);
    if !rustix::process::geteuid().is_root() {
        skip("the organisation's settings", "only root can write them");
        return;
    }
    let out = scene.outside.display().to_string();
    scene.user_settings(&format!("{{ \"sandbox\": {{ \"enabled\": false, \"filesystem\": {{ \"allowWrite\": [\"{out}\", \"{out}/kept/mine\"] }} }} }}"));
    scene.make_dir(&scene.outside.join("kept"));
    // A copy of /etc with the organisation's file, seen by askance alone.
    let etc = scene.beside("etc");
    let under = |text: &str, mode: &str| {
        scene.file(&scene.beside("organisation.json"), text);
        let wrapper = format!(
            "exec unshare -m sh -ec 'rm -rf {etc}; cp -a /etc {etc}; mkdir {etc}/askance; cp {file} {etc}/askance/settings.json
                chmod {mode} {etc}/askance/settings.json; mount --bind {etc} /etc; exec \"$@\"' sh \"$@\"",
            etc = etc.display(),
            file = scene.beside("organisation.json").display(),
        );
        scene.askance().wrapped(&wrapper)
    };
    let text = format!(
        "{{ \"sandbox\": {{ \"enabled\": true, \"filesystem\": {{ \"denyWrite\": [\"{out}/kept\"], \"blockWrite\": [\"{out}/never\"] }} }} }}"
    );
    under(&text, "644").shell(&format!("echo x > {out}/f")).success();
    let finished =
        under(&text, "644").answers(format!("write {out}/** once\n")).shell(&format!("echo x > {out}/kept/mine"));
    finished.fails();
    under(&text, "644").shell(&format!("echo x > {out}/never")).fails();
    assert!(!scene.outside.join("kept/mine").exists() && !scene.outside.join("never").exists());

    under(&text, "664").shell("true").exits(125).complains("/etc/askance/settings.json");
    under("{ \"sandbox\": [] }", "644").shell("true").exits(125).complains("/etc/askance/settings.json:1:14");
}

for_each_user! {
    fn profiles_are_listed_explained_and_merged(scene) {
        let listed = scene.cli(&["profiles"]).success();
        for name in ["default", "read-only", "ci", "mission", "rust", "node", "python", "go", "git"] {
            assert!(listed.stdout.lines().any(|line| line.starts_with(name)), "{name}: {listed}");
        }
        scene.cli(&["profiles", "rust"]).success().says("sandbox.filesystem.allowWrite").says("registries of cargo");
        scene.cli(&["profiles", "rus"]).exits(125).complains("did you mean \"rust\"?");
        let own = scene.home.join(".config/askance/profiles/mine.jsonc");
        let out = scene.outside.display();
        scene.file(&own, format!("// own\n{{ \"name\": \"mine\", \"description\": \"My own.\", \"sandbox\": {{ \"filesystem\": {{ \"allowWrite\": [\"{out}\"] }} }} }}"));
        scene.cli(&["profiles"]).success().says("My own.");
        let line = format!("echo x > {out}/f && echo y > inside");
        scene.askance().flags(&["--profile", "mine"]).shell(&line).success().asks_nothing();
        // Two at once: what one blocks the other cannot give back.
        let both = ["--profile", "mine", "--profile", "read-only"];
        scene.askance().flags(&both).shell(&format!("echo x > {out}/g")).success();
        scene.askance().flags(&both).shell("echo y > inside2").fails();
        assert!(scene.outside.join("g").exists() && !scene.workspace.join("inside2").exists());
        let mut text = fs::read_to_string(&own).unwrap();
        text = text.replace("allowWrite", "allowWirte");
        scene.file(&own, &text);
        scene.askance().flags(&["--profile", "mine"]).shell("true").exits(125).complains("mine.jsonc:2:").complains("allowWrite");
    }
}

#[test]
fn the_whole_file_system_is_a_workspace_only_by_name() {
    let scene = Scene::new(User::Caller);
    scene.askance().cwd("/").shell("true").exits(125).complains("--workspace");
    let arguments = ["settings", "paths"].map(str::to_owned).to_vec();
    Launch::new(&scene, Some(arguments)).cwd("/").finish(&[]).success();
    scene.askance().cwd("/").flags(&["--workspace", "/srv"]).shell("true").success();
}

for_each_user! {
    fn a_run_cannot_change_settings_that_are_kept_in_the_workspace(scene) {
        // Settings in a repository of dot files, linked to; and a profile named by its file.
        let kept = scene.workspace.join("askance.json");
        scene.file(&kept, "{}\n");
        scene.make_dir(scene.user_settings_path().parent().unwrap());
        std::os::unix::fs::symlink(&kept, scene.user_settings_path()).unwrap();
        let profile = scene.workspace.join("profile.json");
        scene.file(&profile, "{ \"name\": \"p\", \"description\": \"d\" }\n");
        for target in ["askance.json", "profile.json"] {
            let line = format!("echo x > other && echo x > {target}");
            scene.askance().flags(&["--profile", "./profile.json"]).shell(&line).fails();
        }
        assert_eq!(fs::read_to_string(&kept).unwrap(), "{}\n");
        assert!(fs::read_to_string(&profile).unwrap().contains("name"));
        assert!(scene.workspace.join("other").exists());
    }
}
