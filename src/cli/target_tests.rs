use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn domains_have_one_spelling() {
    let table = [
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("bücher.example:8443", "xn--bcher-kva.example:8443"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
        ("0:0::1", "::1"),
        ("[::1]", "::1"),
        ("API.example.com=10.0.0.1:443", "api.example.com=10.0.0.1:443"),
    ];
    for (text, expected) in table {
        assert_eq!(domain(text).unwrap(), expected);
    }
    let error = domain("https://example.com:8443/x?y").unwrap_err();
    assert!(error.to_string().contains("\"example.com:8443\""), "{error}");
    for text in ["", "example.com/x", "a b", "*x", "example.com:99999"] {
        assert!(domain(text).is_err(), "{text}");
    }
}

#[test]
fn paths_become_absolute_and_real_and_patterns_stay_patterns() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("home/dir")).unwrap();
    fs::create_dir_all(root.join("work/a[1]")).unwrap();
    symlink(root.join("home/dir"), root.join("work/link")).unwrap();
    let locations = Locations {
        home: root.join("home"),
        config_home: root.join("home/.config"),
        state_home: root.join("home/.local/state"),
        cache_home: root.join("home/.cache"),
        runtime_dir: None,
        workspace: root.join("work"),
        cwd: root.join("work"),
        organisation: root.join("none"),
    };
    let here = root.display();
    let table = [
        ("~".to_owned(), "~".to_owned()),
        ("~/new/x".to_owned(), "~/new/x".to_owned()),
        ("~/dir/".to_owned(), "~/dir".to_owned()),
        (format!("{here}/work/link"), format!("{here}/home/dir")),
        (format!("{here}/work/link/new"), format!("{here}/home/dir/new")),
        (format!("{here}/work/link/../x"), format!("{here}/work/x")),
        (format!("{here}/work/./b/"), format!("{here}/work/b")),
        (format!("{here}/out/**"), format!("{here}/out")),
        (format!("{here}/work/a[1]"), format!("{here}/work/a\\[1\\]")),
        (format!("{here}/work/link/*.log"), format!("{here}/home/dir/*.log")),
        ("**/.envrc".to_owned(), "**/.envrc".to_owned()),
        ("/**".to_owned(), "/".to_owned()),
    ];
    for (text, expected) in table {
        assert_eq!(path(OsStr::new(&text), &locations).unwrap(), expected, "{text}");
    }
    assert_eq!(below_workspace(&format!("{here}/work/src/x"), &locations), "src/x");
    assert_eq!(below_workspace(&format!("{here}/work"), &locations), ".");
    assert_eq!(below_workspace(&format!("{here}/workshop"), &locations), format!("{here}/workshop"));

    let same =
        |a: &str, b: &str| comparable(Subject::Write, a, &locations) == comparable(Subject::Write, b, &locations);
    assert!(same("~/out", &format!("{here}/home/out")));
    assert!(same("src/x", &format!("{here}/work/src/x/**")));
    assert!(same("./src", "src/"));
    assert!(!same("~/out", "/out"));
}
