//! Builds the attack programs of `tests/attacks` and reads what they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::command::Finished;
use super::requirement::skip;
use super::scene::{open_copy, open_to_all};

static BUILDING: Mutex<()> = Mutex::new(());

/// The program `tests/attacks/NAME.c`, built once for each version of its source, executable by everybody.
pub fn build_attack(name: &str) -> PathBuf {
    build(name, "cc", &["-O1", "-pthread"], name).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, linked statically against musl; `None` after a skip where musl-gcc is missing.
pub fn build_static_attack(name: &str) -> Option<PathBuf> {
    if !super::have_command("musl-gcc") {
        skip(name, "musl-gcc is not installed");
        return None;
    }
    Some(
        build(name, "musl-gcc", &["-O1", "-pthread", "-static"], &format!("{name}-musl"))
            .unwrap_or_else(|error| panic!("{error}")),
    )
}

/// A 32-bit program without a library; `None` after a skip where the compiler cannot make one.
pub fn build_32_bit_attack(name: &str) -> Option<PathBuf> {
    let flags =
        ["-O1", "-m32", "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector"];
    build(name, "cc", &flags, name).inspect_err(|error| skip(name, error)).ok()
}

fn build(name: &str, compiler: &str, flags: &[&str], output: &str) -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let source = sources.join(format!("{name}.c"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attacks");
    let target = dir.join(output);
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let newest =
        [source.as_path(), &sources.join("attack.h")].map(|path| fs::metadata(path).unwrap().modified().unwrap());
    let fresh = fs::metadata(&target).is_ok_and(|built| newest.iter().all(|time| built.modified().unwrap() > *time));
    if !fresh {
        fs::create_dir_all(&dir).unwrap();
        // Another test process may build the same: each makes its own and renames it into place.
        let mine = dir.join(format!(".{output}-{}", std::process::id()));
        let done = Command::new(compiler)
            .args(flags)
            .args(["-Wall", "-Wextra", "-o"])
            .arg(&mine)
            .arg(&source)
            .output()
            .map_err(|error| format!("{compiler}: {error}"))?;
        if !done.status.success() {
            return Err(format!("{compiler} {}: {}", source.display(), String::from_utf8_lossy(&done.stderr)));
        }
        fs::rename(&mine, &target).unwrap();
    }
    Ok(if open_to_all(&target) { target } else { open_copy(&target) })
}

/// `tries` and `seconds` of a race, whichever ends first; `ASKANCE_RACE_SECONDS` for longer.
pub fn race_limit() -> [String; 2] {
    let seconds = std::env::var("ASKANCE_RACE_SECONDS").unwrap_or_else(|_| "5".into());
    ["100000".into(), seconds]
}

/// What an attack program reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// How many attempts got through; 0 means that all were held.
    pub through: u64,
    /// How many were made, where none got through.
    pub held: u64,
    /// What got through, by name (the first ones of a race).
    pub names: Vec<String>,
}

impl Finished {
    /// Reads the last line `GOT-THROUGH n` or `HELD n`; anything else is a broken attack, not a held one.
    pub fn attack(&self) -> Attack {
        let names = self.stdout.lines().filter_map(|line| line.strip_prefix("through: ")).map(str::to_owned).collect();
        let number = |word: &str| self.stdout.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        match (number("GOT-THROUGH"), number("HELD")) {
            (Some(through), None) => Attack { through, held: 0, names },
            (None, Some(held)) => Attack { through: 0, held, names },
            _ => panic!("the attack did not report\n{self}"),
        }
    }

    /// The attack was held in every attempt, and there was one.
    pub fn holds(self) -> Self {
        let attack = self.attack();
        assert!(attack.through == 0, "got through: {:#?}\n{self}", attack.names);
        assert!(attack.held > 0, "nothing was tried\n{self}");
        self
    }

    /// The attack works where nothing holds it: otherwise holding it proves nothing.
    pub fn gets_through(self) -> Self {
        assert!(self.attack().through > 0, "the attack does not even work bare\n{self}");
        self
    }
}
