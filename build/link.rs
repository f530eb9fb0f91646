//! Links the program with the GNU C library statically, where its archives are there; else as usual.
//!
//! A dynamic loader takes a tenth of a start, and does what `LD_PRELOAD` and its like say. `-C target-feature=+crt-static`
//! would do the same, but not without `--target`: procedural macros cannot be linked so. The compiler asks the
//! linker for shared libraries; scripts by their names, found first, name the archives.

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

pub(crate) fn statically() {
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let native = variable("HOST") == variable("TARGET");
    let glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    let already = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    // A sanitizer takes the place of functions of the C library.
    let sanitized = std::env::var_os("CARGO_CFG_SANITIZE").is_some();
    if !native || !glibc || already || sanitized || !NEEDED.iter().all(|file| is_there(file)) {
        return;
    }
    let directory = PathBuf::from(variable("OUT_DIR")).join("link");
    fs::create_dir_all(&directory).expect("make the directory of the linker's scripts");
    for (name, text) in SCRIPTS {
        fs::write(directory.join(name), text).expect("write a linker's script");
    }
    println!("cargo::rustc-link-arg-bin=askance=-L{}", directory.display());
    println!("cargo::rustc-link-arg-bin=askance=-static-pie");
}

/// A linker's driver answers with a path where it finds the file, and with the name alone where it does not.
fn is_there(file: &str) -> bool {
    let driver = std::env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let asked = Command::new(driver).arg(format!("-print-file-name={file}")).output();
    asked.is_ok_and(|answer| {
        answer.status.success() && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute()
    })
}
