//! The acceptance suite: the real binary on a real Prometheus and Alertmanager. Whatever is broken on purpose must be
//! found, at the right expectation, for the right reason, while its healthy twin passes.

mod bounds;
mod crash;
mod input;
mod message;
mod polling;
mod replay;
mod routing;
mod sabotage;
mod second_service;
mod secured;
mod signal;
mod twin;
mod unproved;
