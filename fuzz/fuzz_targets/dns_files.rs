#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| askance::dns::fuzzing::files(text));
