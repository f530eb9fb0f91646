//! The story of one run; only it names every stage.
