//! What runs: the description of a stack and the providers that bring it up and take it down.
//!
//! * [`spec`] reads `stack.toml`; [`select`] decides what of it runs here.
//! * [`session`] owns what a run creates: [`journal`] (on disk before it exists), [`reaper`] (removes it when the harness
//!   dies), [`sweep`] (removes what dead runs left).
//! * [`provider`] chooses where it runs: [`local`] as child processes, [`docker`] in containers; [`debian`] gets programs
//!   that are not on `PATH` and makes images that cannot be pulled.
//! * [`collector`] pushes what components write to standard output to the log store, as an agent would.
//! * [`exporter`] lets Prometheus scrape what components use, as cAdvisor would.
//! * [`compose`] writes it as a Compose file; [`doctor`] says what this machine has for all that.
//! * [`notice`] is what the stack tells while it works.

pub mod collector;
pub mod compose;
mod control_group;
pub mod debian;
pub mod docker;
pub mod doctor;
pub mod exporter;
pub mod journal;
pub mod local;
pub mod notice;
pub mod place;
pub mod port;
pub mod process;
pub mod program;
pub mod provider;
pub mod ready;
pub mod reaper;
pub mod select;
pub mod session;
mod shared_memory;
pub mod spec;
pub mod sweep;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod testing;
