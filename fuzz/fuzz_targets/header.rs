#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| askance::supervisor::net::fuzzing::header(bytes));
