//! The hot path allocates nothing: a run in this process, whose allocator counts.
//!
//! The whole process is counted, so this file holds one test.
#![allow(clippy::unwrap_used)]

#[path = "support/locations.rs"]
mod places;
mod support;

use std::alloc::System;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use askance::approval::Chosen;
use askance::prompt::Choice;
use askance::run::{self, Approving, Output, RunRequest, Subject};
use askance::session::{Kind, Session};
use askance::settings::load::Runtime;
use askance::settings::{AutonomyLevel, Locations, Settings};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::build_attack;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Opens in each of the two rounds; what is counted is the second.
const OPENS: usize = 1000;

fn request(locations: Locations, argv: Vec<PathBuf>) -> RunRequest {
    let session = Session::open(&locations, None, Kind::Interactive).unwrap();
    let at = locations.clone();
    RunRequest {
        subject: Subject::Argv(argv.into_iter().map(PathBuf::into_os_string).collect()),
        chosen: Chosen::default(),
        session: Arc::new(session),
        unsaid: AutonomyLevel::High,
        approving: Approving::ByRisk,
        declared: None,
        locations,
        load: Arc::new(move || Settings::load(&at, Runtime::default())),
        prompt: Choice::Deny,
        output: Output::Text,
        report: None,
        timeout: None,
        terminal: None,
    }
}

/// A pipe with a name, by which the command and the test take turns.
fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// Allocations of this process while a sandboxed program opens `spelled` a thousand times, after it has done so before.
fn allocations(locations: &Locations, spelled: &Path) -> usize {
    let at = |name: &str| locations.workspace.join(name);
    let (ready, go) = (at("ready"), at("go"));
    let number = PathBuf::from(OPENS.to_string());
    let argv = vec![build_attack("warm_opens"), spelled.to_owned(), number, ready.clone(), go.clone()];
    let request = request(locations.clone(), argv);
    let running = thread::spawn(move || run::run(request).unwrap());
    let mut byte = [0];
    let mut ready = File::open(&ready).unwrap();
    let mut go = File::options().write(true).open(&go).unwrap();
    ready.read_exact(&mut byte).unwrap();
    let counted = Region::new(COUNTING);
    go.write_all(&byte).unwrap();
    ready.read_exact(&mut byte).unwrap();
    let change = counted.change();
    go.write_all(&byte).unwrap();
    assert_eq!(running.join().unwrap(), 0, "{spelled:?} was not opened");
    change.allocations + change.reallocations
}

#[test]
fn a_permitted_open_allocates_nothing_once_it_is_warm() {
    let place = tempfile::tempdir().unwrap();
    let locations = places::beneath(&place.path().canonicalize().unwrap());
    let at = |name: &str| locations.workspace.join(name);
    fs::write(at("file"), "content\n").unwrap();
    std::os::unix::fs::symlink("file", at("link")).unwrap();
    fifo(&at("ready"));
    fifo(&at("go"));
    for spelled in [at("file"), "file".into(), "../work/./file".into(), "link".into(), "/etc/hosts".into()] {
        let brokered = spelled.starts_with("/etc");
        let counted = allocations(&locations, &spelled);
        // What the broker opens passes here too, and costs memory: so the others really are counted.
        assert_eq!(counted > 0, brokered, "{spelled:?}: {counted}");
    }
}
