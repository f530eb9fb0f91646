//! Small packages for the package managers, made in a scene's workspace, and the toolchain that builds one of them.

use std::path::PathBuf;
use std::process::Command;

use super::requirement::skip;
use super::scene::{Scene, open_to_all};

/// A directory with `cargo` and `rustc` that the scene's user may execute and that no rule denies: the test run's own, or its
/// files under another name.
pub fn toolchain(scene: &Scene) -> Option<PathBuf> {
    let found =
        Command::new("rustc").args(["--print", "sysroot"]).output().ok().filter(|output| output.status.success());
    let sysroot = found.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    let Some(sysroot) = sysroot else {
        skip("cargo", "rustc is not on PATH");
        return None;
    };
    if open_to_all(&sysroot) && !sysroot.starts_with("/root") && !sysroot.starts_with("/home") {
        return Some(sysroot.join("bin"));
    }
    let copy = scene.beside("toolchain");
    scene.make_dir(&copy);
    let copied =
        Command::new("cp").arg("-al").arg(sysroot.join("bin")).arg(sysroot.join("lib")).arg(&copy).status().unwrap();
    if !copied.success() {
        skip("cargo", "the toolchain is private and on another file system");
        return None;
    }
    Some(copy.join("bin"))
}

/// A crate `small` with a build script, a test and a dependency beside it; its program prints `2 yes`.
pub fn make_crate(scene: &Scene) {
    scene.file(&scene.workspace.join("Cargo.toml"), "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ndep = { path = \"dep\" }\n");
    scene.file(&scene.workspace.join("build.rs"), "fn main() { println!(\"cargo:rustc-env=BUILT=yes\"); }\n");
    scene.file(&scene.workspace.join("src/main.rs"), "fn main() { println!(\"{} {}\", dep::two(), env!(\"BUILT\")); }\n#[test]\nfn t() { assert_eq!(dep::two(), 2); }\n");
    scene.file(
        &scene.workspace.join("dep/Cargo.toml"),
        "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    scene.file(&scene.workspace.join("dep/src/lib.rs"), "pub fn two() -> u32 { 2 }\n");
    scene.make_dir(&scene.home.join(".cargo"));
}

/// A wheel is a zip file: this one holds a module and its metadata.
const MAKE_WHEEL: &str = "
import zipfile, sys
with zipfile.ZipFile('tiny-1.0-py3-none-any.whl', 'w') as z:
    z.writestr('tiny.py', 'def hello(): print(\"hello from a wheel\")\\n')
    z.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')
    z.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('tiny-1.0.dist-info/RECORD', 'tiny.py,,\\ntiny-1.0.dist-info/METADATA,,\\ntiny-1.0.dist-info/WHEEL,,\\ntiny-1.0.dist-info/RECORD,,\\n')
";

/// `tiny-1.0-py3-none-any.whl`: its `tiny.hello()` prints `hello from a wheel`.
pub fn make_wheel(scene: &Scene) {
    scene.bare(&["/usr/bin/python3", "-c", MAKE_WHEEL]).success();
}

/// `tiny.tgz`, whose function prints `hello from a tarball` and whose installation leaves `ran`, and a package `app`.
pub fn make_tarball(scene: &Scene) {
    let prepare = "mkdir package && echo '{\"name\":\"tiny\",\"version\":\"1.0.0\",\"main\":\"i.js\",\"scripts\":{\"install\":\"echo installed > ran\"}}' > package/package.json \
        && echo 'module.exports = () => console.log(\"hello from a tarball\")' > package/i.js && tar czf tiny.tgz package && mkdir app && echo '{\"name\":\"app\",\"version\":\"1.0.0\"}' > app/package.json";
    scene.bare_shell(prepare).success();
}
