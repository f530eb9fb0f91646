#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| askance::dns::fuzzing::name(text));
