#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| askance::dns::fuzzing::query(message));
