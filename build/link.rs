//! How the program is linked: its loading is a good part of a start, and it starts thousands of times an hour.
//!
//! With the GNU C library statically, where its archives are there: a dynamic loader takes half a millisecond, and
//! does what `LD_PRELOAD` and its like say. `-C target-feature=+crt-static` would do the same, but not without
//! `--target`: procedural macros cannot be linked so. The compiler asks the linker for shared libraries; scripts by
//! their names, found first, name the archives. Relative relocations are packed, which applies them several times as
//! fast.
//!
//! What a start runs is put side by side by `start.ld`, where the linker is LLD, as the compiler's own is: each stretch of
//! 64 KB that is touched is a page fault and sixteen pages to map and to let go of. GNU's takes minutes for such scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::variable;

/// What the compiler asks for, and what it gets.
const SCRIPTS: [(&str, &str); 3] = [
    ("libgcc_s.so", "GROUP ( -l:libgcc_eh.a -l:libgcc.a -l:libc.a )\n"),
    ("libc.so", "GROUP ( -l:libc.a -l:libgcc_eh.a -l:libgcc.a )\n"),
    ("libm.so", "INPUT ( -l:libm.a )\n"),
];

/// All of these have to be there.
const NEEDED: [&str; 5] = ["rcrt1.o", "libc.a", "libm.a", "libgcc.a", "libgcc_eh.a"];

/// Where what belongs together is named, by sections.
const ORDER: &str = "build/start.ld";

pub(crate) fn arrange() {
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=RUSTFLAGS");
    let glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if glibc {
        argument("-Wl,-z,pack-relative-relocs");
    }
    if glibc && can_be_static() {
        let directory = PathBuf::from(variable("OUT_DIR")).join("link");
        fs::create_dir_all(&directory).expect("make the directory of the linker's scripts");
        for (name, text) in SCRIPTS {
            fs::write(directory.join(name), text).expect("write a linker's script");
        }
        argument(&format!("-L{}", directory.display()));
        argument("-static-pie");
    }
    if glibc && variable("OPT_LEVEL") != "0" && can_be_ordered() {
        argument(&order());
    }
}

fn order() -> String {
    format!("-Wl,-T,{}", Path::new(&variable("CARGO_MANIFEST_DIR")).join(ORDER).display())
}

/// Tried with a program of nothing, linked as this one is going to be: which linker that is, only the compiler knows.
fn can_be_ordered() -> bool {
    let directory = PathBuf::from(variable("OUT_DIR")).join("order");
    fs::create_dir_all(&directory).expect("make the directory of the trial");
    let source = directory.join("trial.rs");
    fs::write(&source, "fn main() {}\n").expect("write the trial");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.arg(source).arg("-o").arg(directory.join("trial")).args(["--target", &variable("TARGET")]);
    compiler.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\x1f').filter(|flag| !flag.is_empty()));
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        let mut chosen = std::ffi::OsString::from("-Clinker=");
        chosen.push(linker);
        compiler.arg(chosen);
    }
    // LLD alone knows the first.
    compiler.args(["-Clink-arg=-Wl,--no-warn-symbol-ordering".to_owned(), format!("-Clink-arg={}", order())]);
    compiler.output().is_ok_and(|tried| tried.status.success())
}

fn argument(text: &str) {
    println!("cargo::rustc-link-arg-bin=askance={text}");
}

/// Not for another machine, whose archives are elsewhere; nor where a sanitizer takes the place of functions of the C
/// library.
fn can_be_static() -> bool {
    let already = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    let sanitized = std::env::var_os("CARGO_CFG_SANITIZE").is_some();
    let native = variable("HOST") == variable("TARGET");
    native && !already && !sanitized && NEEDED.iter().all(|file| is_there(file))
}

/// A linker's driver answers with a path where it finds the file, and with the name alone where it does not.
fn is_there(file: &str) -> bool {
    let driver = std::env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let asked = Command::new(driver).arg(format!("-print-file-name={file}")).output();
    asked.is_ok_and(|answer| {
        answer.status.success() && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute()
    })
}
