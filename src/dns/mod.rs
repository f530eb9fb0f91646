//! Names: the stub that the run's resolvers reach, stand-in addresses, upstream.

/// The run's name service.
#[derive(Debug, Default)]
pub struct Dns {}
