//! What the supervisor does about a permitted open between receiving and replying: it copies the path and proves that
//! the kernel decides the open by itself. `cargo bench --bench proof`; what is called here is this process's own path.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up fails")]

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::hint::black_box;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use askance::dns::{Dns, DnsConfig};
use askance::journal::Journal;
use askance::policy::{Answer, Policy, Question};
use askance::run::foresee;
use askance::sandbox::{self, Floor, Survey};
use askance::settings::load::Runtime;
use askance::settings::{Locations, Settings};
use askance::supervisor::{
    Call, Context, Execution, Executions, Keeper, LivePolicy, Outcome, Parts, Reply, Standing, outcome,
};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/support/locations.rs"]
mod places;

/// More files than the supervisor remembers proofs.
const FILES: usize = 10_000;

/// Settings that nobody changes, commands that nobody restricts: neither is met on the way.
struct Still;

impl Keeper for Still {
    fn keep(&self, _: &Question, _: &Answer) {}
    fn refresh(&self) -> Option<Policy> {
        None
    }
}

impl Executions for Still {
    fn concerns(&self, _: &Path) -> bool {
        false
    }
    fn judge(&self, _: &Execution) -> Standing {
        Standing::Free
    }
}

/// What a run of the built-in settings would have.
fn context(locations: &Locations) -> Context {
    let settings = Settings::load(locations, Runtime::default()).unwrap();
    let policy = foresee(locations, &settings).unwrap();
    let (read, write) = (policy.silent_reading(&sandbox::search), policy.silent_writing());
    let floor = Floor::lay(&read, &write, &Survey::default()).unwrap().floor;
    let parts = Parts {
        policy: Arc::new(LivePolicy::new(policy)),
        monitor: 1,
        dns: Dns::new(DnsConfig { nameservers: Vec::new(), allowed: Box::new(|_| false) }),
        journal: Arc::new(Journal::begin(None)),
        keeper: Arc::new(Still),
        executions: Arc::new(Still),
    };
    let nobody: OwnedFd = File::open("/dev/null").unwrap().into();
    Context::new(parts, 64, || Ok::<_, std::convert::Infallible>((floor, nobody))).unwrap()
}

/// `openat(dirfd, path, O_RDONLY)`, as if this process had been stopped in it.
fn open_is_left_to_the_kernel(context: &Context, dirfd: i32, path: &CStr) {
    let tid = i32::try_from(std::process::id()).unwrap();
    let args = [u64::from(dirfd.cast_unsigned()), path.as_ptr() as u64, 0, 0, 0, 0];
    let outcome = outcome(context, &Call { id: 0, tid, nr: libc::SYS_openat, args });
    assert!(matches!(outcome, Outcome::Reply(Reply::ContinueUnderFloor)), "{path:?}: {outcome:?}");
}

fn proofs(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let locations = places::beneath(&place.path().canonicalize().unwrap());
    let tree = locations.workspace.join("tree");
    fs::create_dir(&tree).unwrap();
    let names: Vec<CString> = (0..FILES).map(|number| CString::new(format!("f{number}")).unwrap()).collect();
    let at = |name: &CString| tree.join(name.to_str().unwrap());
    names.iter().for_each(|name| fs::write(at(name), "content\n").unwrap());
    let absolute = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let paths: Vec<CString> = names.iter().map(|name| absolute(&at(name))).collect();
    std::os::unix::fs::symlink("tree/f0", locations.workspace.join("link")).unwrap();
    let link = absolute(&locations.workspace.join("link"));
    let (context, directory) = (context(&locations), File::open(&tree).unwrap());
    let mut group = criterion.benchmark_group("proof");
    for (label, dirfd, paths) in [
        ("again, absolute", libc::AT_FDCWD, &paths[..1]),
        ("again, beneath a descriptor", directory.as_raw_fd(), &names[..1]),
        ("again, through a link", libc::AT_FDCWD, std::slice::from_ref(&link)),
        ("once, absolute", libc::AT_FDCWD, &paths[..]),
        ("once, beneath a descriptor", directory.as_raw_fd(), &names[..]),
    ] {
        let mut next = paths.iter().cycle();
        group.bench_function(label, |bencher| {
            bencher.iter(|| open_is_left_to_the_kernel(&context, black_box(dirfd), next.next().unwrap()));
        });
    }
}

criterion_group!(benches, proofs);
criterion_main!(benches);
