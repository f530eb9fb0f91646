//! Bounded random input for the tests: what is in `fuzz/seeds`, mutated, and what is made up. Needs neither
//! nightly Rust nor `cargo-fuzz`, which go further with the same targets.

use std::fs;
use std::path::Path;

/// Inputs for each target; `ASKANCE_FUZZ_INPUTS` for more.
const INPUTS: usize = 2000;

/// The longest input.
const LONGEST: usize = 2048;

/// `xorshift64`: the same inputs each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % most.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'\\/.*{}[]()$`;&|<>#:,@~=-0a";
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => u8::try_from(self.below(256)).unwrap_or(0),
        }
    }

    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let until = at + self.below(input.len() + 1 - at);
            match self.below(6) {
                0 => input.insert(at, self.byte()),
                1 if at < input.len() => input[at] = self.byte(),
                2 if at < input.len() => input[at] ^= 1 << self.below(8),
                3 => drop(input.drain(at..until)),
                4 => input.extend_from_within(at..until),
                _ => {
                    let from = self.below(other.len() + 1);
                    let piece = &other[from..from + self.below(other.len() + 1 - from)];
                    input.splice(at..at, piece.iter().copied());
                }
            }
        }
        input.truncate(LONGEST);
    }
}

/// Gives `target` every seed of `fuzz/seeds/NAME`, then mutations of them and of nothing.
pub fn drive(name: &str, target: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&dir).expect("a target has seeds").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a seed can be read")).collect();
    assert!(!seeds.is_empty(), "{} is empty", dir.display());
    for seed in &seeds {
        target(seed);
    }
    let inputs = std::env::var("ASKANCE_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(INPUTS);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..inputs {
        let mut input = match chance.below(8) {
            0 => (0..chance.below(64)).map(|_| chance.byte()).collect(),
            _ => seeds[chance.below(seeds.len())].clone(),
        };
        let other = chance.below(seeds.len());
        chance.mutate(&mut input, &seeds[other]);
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input))) {
            eprintln!("{name}: {:?}", String::from_utf8_lossy(&input));
            eprintln!("{name}: {input:?}");
            std::panic::resume_unwind(panic);
        }
    }
}
