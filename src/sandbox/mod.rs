//! Builds what confines a command and starts it there: floor, filter, privileges, launch.
//!
//! Owns everything that holds in the kernel with nobody's help. It decides no access: what the
//! floor does not cover is the supervisor's.

mod adopted;
mod command;
mod directories;
pub mod features;
pub mod filter;
mod floor;
mod ground;
mod launch;
mod laying;
pub mod limits;
mod monitor;
mod nursery;
mod orphans;
mod plan;
pub mod privileges;
pub mod processors;
mod program;
mod rights;
mod split;
mod stage;
mod survey;
mod table;
mod wire;

pub use command::ProcessLimits;
pub use directories::{Directories, PrivateDirectory, unused_name};
pub use filter::{Filter, FilterError, FilterPlan};
pub use floor::Floor;
pub use ground::{FloorError, Groundwork};
pub use launch::{
    Beginning, ChildPlan, Event, LaunchError, Launched, Launching, Trap, Waiting, begin, inherited_stdio,
};
pub use laying::{Bound, Laid, Laying, Scaffold};
pub use nursery::Nursery;
pub use plan::{FloorPlan, LeftOut};
pub use program::resolve_program;
pub use rights::Rights;
pub use stage::Stage;
pub use survey::{Survey, search};
pub use table::Ruled;

#[cfg(test)]
mod tests;
