//! The doing: joins the leaves. `timeline` decides, the rest performs.

pub mod about;
pub mod actuate;
pub mod annotate;
mod beside;
pub mod clients;
pub mod control;
pub mod count;
mod doors;
pub mod drill;
pub mod exposed;
pub mod gate;
pub mod gather;
pub mod hold;
mod holding;
mod log_rules;
pub mod observe;
pub mod panel;
mod probe;
pub mod record;
mod rule_record;
pub mod seed;
pub mod show;
pub mod sink;
pub mod stage;
pub mod suite;
pub mod tally;
pub mod timeline;
#[cfg(test)]
mod timelines;
pub mod windows;
