//! What will be done: names resolved, defaults applied, times divided by the scale, bounds computed. Built from a scenario
//! and its stack, read by `run` and by `explain`.

pub mod bound;
pub mod budget;
pub mod build;
pub mod drive;
pub mod explain;
pub mod finding;
pub mod provision;
pub mod routing;
pub mod scale;
pub mod study;
pub mod surround;
pub mod timeline;
pub mod unit;
