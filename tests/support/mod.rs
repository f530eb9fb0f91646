//! What the behaviour tests share: a scene to run in, the real binary with a clean environment and a
//! hard time limit, attack programs built once, services on loopback.
//!
//! Nothing here knows how askance works inside: only its command line, its files and its report.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a scene that cannot be made fails its test")]

pub mod attack;
pub mod client;
pub mod command;
pub mod network;
pub mod packages;
pub mod requirement;
pub mod scene;
pub mod server;
pub mod terminal;
pub mod victim;

pub use attack::{Attack, build_32_bit_attack, build_attack, build_static_attack, race_limit};
pub use command::{Finished, Launch};
pub use requirement::{forbidden, have_command, skip, unavailable};
pub use scene::{Scene, User};
pub use victim::Victim;

/// Declares a behaviour that must hold for whoever runs the suite and for an ordinary user (uid 65534).
#[macro_export]
macro_rules! for_each_user {
    ($(#[$attribute:meta])* fn $name:ident($scene:ident) $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn holds($scene: Scene) $body

            #[test]
            fn as_the_caller() {
                holds(Scene::new(User::Caller));
            }

            #[test]
            fn as_uid_65534() {
                if let Some(scene) = Scene::as_nobody() {
                    holds(scene);
                }
            }
        }
    };
}
