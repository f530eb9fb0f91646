//! Random system calls with hostile arguments, inside the sandbox over a scratch tree with canaries: nothing outside
//! changes, the supervisor lives, loses no descriptors and no memory, and goes on serving.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{Scene, User, build_attack};

/// Sequences per user; `ASKANCE_FUZZ_SECONDS` for longer ones, `ASKANCE_FUZZ_SEED` for one of them again.
fn seconds() -> u64 {
    std::env::var("ASKANCE_FUZZ_SECONDS").map_or(6, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    let chosen = std::env::var("ASKANCE_FUZZ_SEED").ok().map(|text| text.parse().unwrap());
    chosen.unwrap_or_else(|| u64::from(std::process::id()) * 1000 + u64::from(Instant::now().elapsed().subsec_nanos()))
}

/// Everything about what lies outside that could be changed.
fn fingerprint(dirs: &[&Path]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending: Vec<PathBuf> = dirs.iter().map(|dir| dir.to_path_buf()).collect();
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
        lines.push(format!(
            "{path:?} {:o} {} {} {content:?} {times:?}",
            metadata.mode(),
            metadata.uid(),
            metadata.nlink()
        ));
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    lines.sort();
    lines
}

/// Open descriptors and resident kilobytes of a process; `None` when it is gone.
fn held_by(pid: i32) -> Option<(usize, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some((descriptors, resident.trim().split(' ').next()?.parse().ok()?))
}

fn median<T: Ord + Copy>(samples: &[T]) -> T {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Descriptors of callers and of calls under way come and go; more than these are lost ones.
const DESCRIPTORS_MAX: usize = 500;

/// What the record of a run may grow by in a few seconds of fuzzing.
const GROWTH_KB: u64 = 24 << 10;

for_each_user! {
    fn random_hostile_calls_change_nothing_outside(scene) {
        let program = build_attack("fuzz_calls");
        scene.file(&scene.outside.join("canary"), "untouched\n");
        scene.file(&scene.outside.join("sub/canary"), "untouched\n");
        scene.make_repository();
        let hooks = scene.workspace.join(".git/hooks");
        let outside = [scene.outside.as_path(), &scene.home.join(".ssh"), &hooks];
        let before = fingerprint(&outside);
        let (seed, seconds) = (seed().to_string(), seconds());
        let (root, canaries) = (scene.workspace.to_str().unwrap(), scene.outside.to_str().unwrap());
        let argv = [program.to_str().unwrap(), root, canaries, &seed, "100000000", &seconds.to_string()];
        let running = scene.askance().time_limit(Duration::from_secs(seconds + 60)).start(&argv);
        let (pid, begun) = (running.pid(), Instant::now());
        let mut samples = Vec::new();
        while begun.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(100));
            samples.push(held_by(pid).unwrap_or_else(|| panic!("the supervisor is gone, seed {seed}")));
        }
        let finished = running.wait().success().holds();
        println!("seed {seed}: {}", finished.stdout);
        assert_eq!(fingerprint(&outside), before, "seed {seed}\n{finished}");
        let quarter = samples.len() / 4;
        let (early, late) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
        let descriptors = |part: &[(usize, u64)]| median(&part.iter().map(|sample| sample.0).collect::<Vec<_>>());
        let resident = |part: &[(usize, u64)]| median(&part.iter().map(|sample| sample.1).collect::<Vec<_>>());
        assert!(descriptors(late) < DESCRIPTORS_MAX.min(2 * descriptors(early) + 64), "descriptors are lost, seed {seed}: {samples:?}");
        assert!(resident(late) < resident(early) + GROWTH_KB, "memory is lost, seed {seed}: {samples:?}");
        let slowest: u64 = finished.stdout.split("slowest ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert!(slowest < 5_000_000, "a permitted open took {slowest} µs, seed {seed}");
        let calls: u64 = finished.stdout.split("calls ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(calls > 1000, "too few calls to mean anything\n{finished}");
    }
}
