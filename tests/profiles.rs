//! The profiles of ecosystems: ordinary work under them asks nothing, and the package manager's own configuration says
//! which registries it may reach.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;

use support::command::PATH;
use support::network::Service;
use support::packages::{make_crate, make_tarball, make_wheel, toolchain};
use support::{Finished, Launch, Scene, User, have_command, skip, unavailable};

/// A run under a profile at a level.
fn under<'a>(scene: &'a Scene, profile: &str, level: &str) -> Launch<'a> {
    let flags = ["--profile", profile, "--auto", level];
    scene.askance().flags(&flags).time_limit(Duration::from_secs(180))
}

/// Each line runs at the level that such work needs, and nothing is asked and nothing refused.
fn works(scene: &Scene, profile: &str, level: &str, lines: &[&str]) -> Finished {
    let mut last = None;
    for line in lines {
        let finished = under(scene, profile, level).run(&["bash", "-c", line]).success().asks_nothing();
        last = Some(finished);
    }
    last.unwrap()
}

for_each_user! {
    fn cargo_builds_and_tests_offline_under_its_profile(scene) {
        let Some(toolchain) = toolchain(&scene) else { return };
        make_crate(&scene);
        let path = format!("{}:{PATH}", toolchain.display());
        let cargo = |words: &[&str]| {
            let argv = [&["cargo"], words].concat();
            under(&scene, "rust", "medium").env("PATH", &path).run(&argv).success().asks_nothing()
        };
        cargo(&["build", "--offline"]);
        cargo(&["test", "--offline"]).says("test result: ok");
        cargo(&["clean"]);
        cargo(&["check", "--offline"]);
        cargo(&["tree", "--offline"]).says("dep v0.1.0");
        under(&scene, "rust", "high").env("PATH", &path).run(&["cargo", "run", "-q", "--offline"]).success().says("2 yes").asks_nothing();
    }
}

for_each_user! {
    fn npm_installs_and_node_runs_under_their_profile(scene) {
        if unavailable("npm", &["npm", "node"]) {
            return;
        }
        make_tarball(&scene);
        scene.file(&scene.workspace.join("app/use.js"), "require('tiny')()\n");
        works(&scene, "node", "medium", &["cd app && npm install --offline ../tiny.tgz", "cd app && npm ls && test -e node_modules/tiny/ran"]);
        works(&scene, "node", "high", &["cd app && node use.js", "node -e 'console.log(1 + 1)'"]).says("2\n");
    }
}

for_each_user! {
    fn pip_installs_into_a_virtual_environment_under_its_profile(scene) {
        if !fs::exists("/usr/lib/python3/dist-packages/pip").unwrap() && !have_command("pip3") {
            skip("pip", "python3-pip is not installed");
            return;
        }
        make_wheel(&scene);
        works(&scene, "python", "medium", &["python3 -m venv env"]);
        let lines = ["env/bin/pip install --no-index ./tiny-1.0-py3-none-any.whl", "env/bin/pip list", "env/bin/python -c 'import tiny; tiny.hello()'"];
        works(&scene, "python", "high", &lines).says("hello from a wheel");
        // Byte code beside the sources, a test, a script.
        scene.file(&scene.workspace.join("test_it.py"), "import unittest, tiny\nclass T(unittest.TestCase):\n    def test(self): tiny.hello()\n");
        works(&scene, "python", "medium", &["python3 -m compileall -q test_it.py"]);
        works(&scene, "python", "high", &["env/bin/python -m unittest test_it"]);
    }
}

for_each_user! {
    fn git_works_under_its_profile(scene) {
        if unavailable("git", &["git"]) {
            return;
        }
        scene.file(&scene.home.join(".gitconfig"), "[user]\n  name = t\n  email = t@example.com\n[init]\n  defaultBranch = main\n");
        scene.file(&scene.home.join(".ssh/known_hosts"), "host.example.com ssh-ed25519 AAAA\n");
        scene.file(&scene.home.join(".ssh/id_x.pub"), "ssh-ed25519 AAAA\n");
        works(&scene, "git", "medium", &[
            "git init -q a && cd a && echo one > f && git add f && git commit -qm one",
            "cd a && git branch topic && git switch -q topic && echo two >> f && git commit -qam two && git switch -q main && git merge -q topic",
            "cd a && git stash list && git tag v1 && git rebase -q topic && git worktree add -q ../b topic",
            "git clone -q a c && cd c && git fetch -q && git pull -q",
            "cat ~/.ssh/known_hosts ~/.ssh/id_x.pub",
        ]);
        for (line, says) in [("git status --short", ""), ("git diff HEAD~1", "+two\n"), ("git log --format=%s | cat", "two\none\n")] {
            let run = under(&scene, "git", "low").cwd(scene.workspace.join("a")).run(&["bash", "-c", line]);
            run.success().says(says).asks_nothing();
        }
        under(&scene, "git", "medium").shell("cat ~/.ssh/id_x").fails().denies(&format!("read {}", scene.secret().display()));
    }
}

/// What go's own program would do of what matters here, where it is not installed: print its configuration, fetch from the
/// proxy, write the caches, the checksum database's notes and the telemetry that nobody needs.
const GO: &str = r#"#!/bin/sh
case "$1" in
    env) shift; for name; do eval "echo \"\$$name\""; done ;;
    build)
        mkdir -p "$GOCACHE/00" "$GOMODCACHE/cache/download" "$HOME/go/pkg/sumdb/sum.example.com" || exit 1
        echo > "$GOCACHE/00/object" && echo > "$GOMODCACHE/cache/lock" && echo > "$HOME/go/pkg/sumdb/sum.example.com/latest" || exit 1
        echo 2>/dev/null > "$HOME/.config/go/telemetry/upload.token"
        echo built > small ;;
    get) exec curl -sSf "$2/example.com/tiny/@v/list" ;;
esac
"#;

for_each_user! {
    fn go_builds_under_its_profile_and_reaches_its_proxy_alone(scene) {
        scene.file(&scene.beside("go/bin/go"), GO);
        fs::set_permissions(scene.beside("go/bin/go"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        scene.make_dir(&scene.home.join(".config/go/telemetry"));
        scene.make_dir(&scene.home.join("go/pkg"));
        let (own, other) = (registries(&scene), registries(&scene));
        let path = format!("{}:{PATH}", scene.beside("go/bin").display());
        let go = |level: &str, words: &[&str]| {
            let launch = under(&scene, "go", level).env("PATH", &path).env("GOSUMDB", "off");
            launch.env("GOPROXY", format!("http://127.0.0.1:{}/go,direct", own.port())).run(&[&["go"], words].concat())
        };
        go("medium", &["build", "./..."]).success().asks_nothing();
        let fetch = |port: u16| go("medium", &["get", &format!("http://127.0.0.1:{port}/go")]);
        fetch(own.port()).success().says("v1.0.0").asks_nothing();
        fetch(other.port()).fails().denies(&format!("connect 127.0.0.1:{}", other.port()));
        if have_command("go") {
            scene.file(&scene.workspace.join("go.mod"), "module example.com/small\n\ngo 1.18\n");
            scene.file(&scene.workspace.join("main.go"), "package main\n\nfunc main() { println(2) }\n");
            under(&scene, "go", "medium").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").run(&["go", "build", "./..."]).success().asks_nothing();
        }
    }
}

fn registries(scene: &Scene) -> Service {
    Service::python(scene, include_str!("programs/registries.py"), &[])
}

for_each_user! {
    fn npm_reaches_the_registry_of_its_configuration_alone(scene) {
        if unavailable("npm", &["npm", "node"]) {
            return;
        }
        let (own, other) = (registries(&scene), registries(&scene));
        scene.file(&scene.home.join(".npmrc"), format!("registry=http://127.0.0.1:{}/npm/\n", own.port()));
        scene.file(&scene.workspace.join("package.json"), "{\"name\":\"app\",\"version\":\"1.0.0\"}\n");
        works(&scene, "node", "medium", &["npm install tiny"]);
        works(&scene, "node", "high", &["node -e 'require(\"tiny\")()'"]).says("hello from a registry");
        // A repository's own configuration says nothing.
        scene.file(&scene.workspace.join(".npmrc"), format!("registry=http://127.0.0.1:{}/npm/\nfetch-retries=0\n", other.port()));
        scene.bare_shell("rm -r node_modules package-lock.json").success();
        under(&scene, "node", "medium").shell("npm install --prefer-online tiny").fails().denies(&format!("connect 127.0.0.1:{}", other.port()));
    }
}

for_each_user! {
    fn pip_reaches_the_index_of_its_configuration_alone(scene) {
        if !fs::exists("/usr/lib/python3/dist-packages/pip").unwrap() {
            skip("pip", "python3-pip is not installed");
            return;
        }
        let (own, other) = (registries(&scene), registries(&scene));
        scene.file(&scene.home.join(".config/pip/pip.conf"), format!("[global]\nindex-url = http://127.0.0.1:{}/pip/\n", own.port()));
        let install = |more: &str| {
            under(&scene, "python", "medium").shell(&format!("python3 -m pip install --retries 0 --disable-pip-version-check --target site tiny {more}"))
        };
        install(&format!("--index-url http://127.0.0.1:{}/pip/", other.port())).fails().denies(&format!("connect 127.0.0.1:{}", other.port()));
        install("").success().asks_nothing();
        works(&scene, "python", "high", &["PYTHONPATH=site python3 -c 'import tiny; tiny.hello()'"]).says("hello from an index");
    }
}

for_each_user! {
    fn cargo_reaches_the_registry_of_its_configuration_alone(scene) {
        let Some(toolchain) = toolchain(&scene) else { return };
        let (own, other) = (registries(&scene), registries(&scene));
        let path = format!("{}:{PATH}", toolchain.display());
        let source = |port: u16| format!("[source.crates-io]\nreplace-with = \"near\"\n[source.near]\nregistry = \"sparse+http://127.0.0.1:{port}/cargo/\"\n[net]\nretry = 0\n");
        scene.file(&scene.home.join(".cargo/config.toml"), source(own.port()));
        scene.file(&scene.workspace.join("Cargo.toml"), "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ntiny = \"1\"\n");
        scene.file(&scene.workspace.join("src/main.rs"), "fn main() { println!(\"{}\", tiny::hello()); }\n");
        let build = || under(&scene, "rust", "high").env("PATH", &path).run(&["cargo", "run", "-q"]);
        build().success().says("hello from a crate").asks_nothing();
        // What a run writes there names no further registry.
        let index = scene.home.join(".cargo/registry/index");
        let name = fs::read_dir(&index).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        let (index, forged) = (index.display(), index.join("evil.example.com-0").display().to_string());
        scene.file(&std::path::Path::new(&forged).with_file_name(&name).join("config.json"), "{ \"dl\": \"https://crates.example.com\" }");
        let rust = |line: &str| under(&scene, "rust", "high").shell(line);
        rust(&format!("mkdir {forged} && echo '{{\"dl\": \"https://evil.example.com\"}}' > {forged}/config.json")).fails();
        rust(&format!("cp -r {index}/{name}/. {forged}")).fails();
        rust(&format!("rm -r {forged}; mv {index}/{name} {forged}")).fails();
        rust(&format!("ln -s {name} {forged}")).success();
        let named = scene.cli(&["profiles", "rust"]).success().says("crates.example.com:443");
        assert!(!named.stdout.contains("evil"), "{named}");
        scene.file(&scene.workspace.join(".cargo/config.toml"), source(other.port()));
        scene.bare_shell("rm Cargo.lock").success();
        build().fails().denies(&format!("connect 127.0.0.1:{}", other.port()));
    }
}

for_each_user! {
    fn a_profile_given_twice_counts_once(scene) {
        let show = |flags: &[&str]| scene.cli(&[&["settings", "show"], flags].concat()).success().stdout;
        assert_eq!(show(&["--profile", "git", "--profile", "git"]), show(&["--profile", "git"]));
        let variable = vec!["settings".into(), "show".into(), "--profile".into(), "git".into()];
        let both = Launch::new(&scene, Some(variable)).env("ASKANCE_PROFILE", "git").finish(&[]).success();
        assert_eq!(both.stdout, show(&["--profile", "git"]));
    }
}

for_each_user! {
    fn of_two_profiles_that_contradict_the_first_and_the_stricter_count(scene) {
        let out = scene.outside.display();
        let profile = |name: &str, level: &str, list: &str, limit: u64| {
            let file = scene.home.join(format!(".config/askance/profiles/{name}.jsonc"));
            scene.file(&file, format!("{{ \"name\": \"{name}\", \"description\": \"d\", \"sessionDefaultSettings\": {{ \"autonomyLevel\": \"{level}\" }},
                \"sandbox\": {{ \"filesystem\": {{ \"{list}\": [\"{out}\"] }}, \"limits\": {{ \"processes\": {limit} }} }} }}"));
        };
        profile("open", "high", "allowWrite", 500);
        profile("shut", "low", "blockWrite", 400);
        let of = |flags: &[&str]| scene.cli(&[&["settings", "show"], flags].concat()).success().stdout;
        let orders = [["--profile", "open", "--profile", "shut"], ["--profile", "shut", "--profile", "open"]];
        for (order, level, limit) in [(orders[0], "high", 500), (orders[1], "low", 400)] {
            let shown = of(&order);
            assert!(shown.contains(&format!("sandbox.limits.processes: {limit}  (runtime, ")), "{shown}");
            assert!(shown.contains(&format!("sessionDefaultSettings.autonomyLevel: \"{level}\"  (runtime, ")), "{shown}");
            // A block stands whichever came first.
            scene.askance().flags(&order).flags(&["--auto", "high"]).shell(&format!("echo x > {out}/f")).fails();
        }
        scene.askance().flags(&["--profile", "open"]).shell(&format!("echo x > {out}/f")).success().asks_nothing();
    }
}
