#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| askance::settings::fuzzing::file(bytes));
