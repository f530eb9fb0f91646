//! What settings and lists cost: loading them, compiling them, and judging one access, which the supervisor does for
//! every call that the floor does not decide. `cargo bench --bench policy`.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up fails")]

use std::hint::black_box;
use std::path::Path;

use askance::policy::{Access, Change, Host, NothingYet};
use askance::run::foresee;
use askance::settings::load::Runtime;
use askance::settings::{Locations, Settings};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/support/locations.rs"]
mod places;

/// The built-in layer and a user's file, in places that hold nothing else.
fn locations(base: &Path) -> Locations {
    let locations = places::beneath(base);
    let file = locations.user_file();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = r#"{"sandbox": {"filesystem": {"allowWrite": ["~/out", "**/generated"], "denyRead": ["**/.env"]}}}"#;
    std::fs::write(file, text).unwrap();
    locations
}

fn costs(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let locations = locations(&place.path().canonicalize().unwrap());
    criterion.bench_function("settings/load", |bencher| {
        bencher.iter(|| Settings::load(black_box(&locations), Runtime::default()).unwrap());
    });
    let settings = Settings::load(&locations, Runtime::default()).unwrap();
    criterion.bench_function("policy/compile", |bencher| {
        bencher.iter(|| foresee(black_box(&locations), &settings).unwrap());
    });
    let policy = foresee(&locations, &settings).unwrap();
    let (work, home) = (locations.workspace.as_path(), locations.home.as_path());
    let paths = [
        ("workspace", work.join("src/main.rs")),
        ("denied", home.join(".ssh/id_ed25519")),
        ("deep", Path::new("/usr/lib/python3/dist-packages/a/b/c/d/e/f.py").to_owned()),
    ];
    for (name, path) in &paths {
        criterion.bench_function(&format!("judge/read {name}"), |bencher| {
            bencher.iter(|| policy.judge(&Access::Read(black_box(path)), &NothingYet));
        });
        criterion.bench_function(&format!("judge/write {name}"), |bencher| {
            bencher.iter(|| policy.judge(&Access::Write(black_box(path), Change::Existing), &NothingYet));
        });
    }
    let host = Host::Name("api.example.com".into());
    criterion.bench_function("judge/connect", |bencher| {
        bencher.iter(|| policy.judge(&Access::Connect { host: black_box(&host), port: 443 }, &NothingYet));
    });
}

criterion_group!(benches, costs);
criterion_main!(benches);
