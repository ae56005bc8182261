//! Whatever ends the harness, nothing of its run stays and nothing of anybody else goes: `kill -9` at twelve places with both
//! providers, interrupts, full disks, engines that hang. The ids are those of the crash cases.

mod disk;
mod engine;
mod interrupt;
mod kill;
mod postgres;
mod stage;
