#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| askance::prompt::answers::fuzzing::answers(bytes));
