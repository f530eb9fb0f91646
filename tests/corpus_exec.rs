//! Every line of the corpora that hides `touch marker`, run for real with `touch` on the deny list: what no
//! reading of the text has to find, the check at its `execve` stops.
#![allow(clippy::unwrap_used)]

mod support;

use support::scene::{Scene, User};

/// `\n` is a newline and `\\` a backslash.
fn unescape(text: &str) -> String {
    text.replace("\\\\", "\0").replace("\\n", "\n").replace('\0', "\\")
}

fn lines() -> Vec<String> {
    let corpora =
        [include_str!("corpus/commands.tsv"), include_str!("corpus/more.tsv"), include_str!("corpus/third.tsv")];
    let lines = corpora.iter().flat_map(|corpus| corpus.lines()).filter(|line| !line.starts_with('#'));
    let commands = lines.filter_map(|line| line.split('\t').nth(1)).filter(|line| line.contains("touch marker"));
    commands.map(unescape).collect()
}

fn prepare(scene: &Scene) {
    scene
        .bare_shell(
            "mkdir sub; echo x > f; echo 'touch marker' > be; chmod +x be; echo 'int main(){}' > f.c
         git init -q -b main . && git config user.name t && git config user.email t@example.com
         git add f && git commit -qm one && echo y >> f && git commit -qam two",
        )
        .success();
}

/// What came of some lines: how many ran, how many were skipped, which got through.
type Outcome = (usize, usize, Vec<String>);

fn hold(lines: &[String]) -> Outcome {
    let scene = Scene::new(User::Caller);
    prepare(&scene);
    scene.user_settings(r#"{"commandDenylist": ["touch"]}"#);
    let marker = scene.workspace.join("marker");
    let (mut ran, mut skipped, mut through) = (0, 0, Vec::new());
    for line in lines {
        // In a file: the text of the request shows nothing.
        scene.file(&scene.workspace.join("line.sh"), line);
        let argv = ["timeout", "-k", "1", "2", "bash", "line.sh"];
        let _ = scene.bare(&argv);
        if std::fs::remove_file(&marker).is_err() {
            // Its programs are not here, it wants a terminal, or it only talks of the payload.
            eprintln!("skipped: {line:?} makes nothing here");
            skipped += 1;
            continue;
        }
        ran += 1;
        let sandboxed = scene.askance().run(&argv);
        if std::fs::remove_file(&marker).is_ok() {
            through.push(format!("{line:?}\n{sandboxed}"));
        }
    }
    (ran, skipped, through)
}

#[test]
fn what_a_line_hides_is_stopped_when_it_starts() {
    let lines = lines();
    let (mut ran, mut skipped, mut through) = (0, 0, Vec::new());
    // Most of the time is spent on lines that wait for something.
    std::thread::scope(|scope| {
        let parts = lines.chunks(lines.len().div_ceil(6)).map(|part| scope.spawn(move || hold(part)));
        for part in parts.collect::<Vec<_>>() {
            let outcome = part.join().unwrap();
            ran += outcome.0;
            skipped += outcome.1;
            through.extend(outcome.2);
        }
    });
    eprintln!("{ran} lines ran, {skipped} were skipped");
    assert!(ran >= 100, "{ran} lines ran, {skipped} were skipped");
    assert!(through.is_empty(), "{} got through:\n{}", through.len(), through.join("\n"));
}
