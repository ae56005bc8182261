//! What runs: the description of a stack and the providers that bring it up and take it down.

pub mod journal;
pub mod notice;
pub mod place;
pub mod port;
pub mod process;
pub mod ready;
pub mod spec;
