//! What a start should not have to do: load libraries, and parse the built-in settings.

mod defaults;
mod link;

fn main() {
    println!("cargo::rerun-if-changed=build");
    defaults::compile();
    link::arrange();
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
