//! What a verdict costs: `cargo bench --bench assess`. A typical command should take at most 100 µs,
//! the check of an argument vector at `execve` a few.
#![allow(missing_docs)]

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use askance::approval::{Authority, Execution, Request, Rules, Subject, Surroundings, judge, judge_argv};
use askance::settings::{AutonomyLevel, InteractionMode};
use criterion::{Criterion, criterion_group, criterion_main};

/// A machine that answers at once: what is measured is judgement.
struct Instant;

impl Surroundings for Instant {
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }
    fn sandbox_may_write(&self, _: &Path) -> bool {
        false
    }
    fn canonical(&self, _: &Path) -> Option<PathBuf> {
        None
    }
    fn is_mount_point(&self, _: &Path) -> bool {
        false
    }
    fn is_block_device(&self, _: &Path) -> bool {
        false
    }
    fn repository_runs(&self, _: &Path) -> Option<String> {
        None
    }
}

const COMMANDS: [(&str, &str); 8] = [
    ("plain", "ls -la src"),
    ("git", "git log --oneline -20"),
    ("pipeline", "cat a b | sort | uniq -c | sort -rn | head -5"),
    ("list", "cd build && cmake .. && make -j8 2>&1 | tail -40"),
    ("substitution", "echo \"branch: $(git branch --show-current)\""),
    ("loop", "for f in src/*.rs; do wc -l \"$f\"; done"),
    ("here-document", "cat > notes.md <<'EOF'\nhello\nEOF"),
    ("wrapped", "timeout 60 env CI=1 bash -c 'npm ci && npm test'"),
];

fn verdicts(criterion: &mut Criterion) {
    let rules = Rules::default();
    let authority =
        Authority { level: AutonomyLevel::Medium, ceiling: AutonomyLevel::High, mode: InteractionMode::Auto };
    let mut group = criterion.benchmark_group("judge");
    for (name, text) in COMMANDS {
        let request = Request {
            subject: Subject::Shell(text.as_bytes()),
            cwd: Path::new("/home/me/project"),
            workspace: Path::new("/home/me/project"),
            home: Some(Path::new("/home/me")),
            declared: None,
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| judge(&rules, black_box(&request), authority, &Instant));
        });
    }
}

fn vectors(criterion: &mut Criterion) {
    let rules = Rules::default();
    let mut group = criterion.benchmark_group("judge_argv");
    for words in [&["/usr/bin/cc", "-O2", "-c", "x.c"][..], &["/bin/rm", "-rf", "build"], &["/bin/cp", "a", "b"]] {
        let argv: Vec<&OsStr> = words.iter().map(|word| OsStr::new(*word)).collect();
        let execution = Execution {
            program: Path::new(words[0]),
            argv: &argv,
            cwd: Path::new("/home/me/project"),
            workspace: Path::new("/home/me/project"),
            home: Some(Path::new("/home/me")),
        };
        group.bench_function(words.join(" "), |bencher| {
            bencher.iter(|| judge_argv(&rules, black_box(&execution), &Instant));
        });
    }
}

criterion_group!(benches, verdicts, vectors);
criterion_main!(benches);
