//! The acceptance suite: the real binary on a real Prometheus and Alertmanager. Whatever is broken on purpose must be
//! found, at the right expectation, for the right reason, while its healthy twin passes.

mod crash;
mod input;
mod sabotage;
mod second_service;
mod twin;
