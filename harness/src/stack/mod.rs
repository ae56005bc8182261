//! What runs: the description of a stack and the providers that bring it up and take it down.

pub mod spec;
