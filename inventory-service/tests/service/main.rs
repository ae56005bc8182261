//! The service from outside: real sockets on loopback, nothing shared between tests. `support` starts a service inside the
//! test's process; `process` starts the binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod bad_input;
mod documentation;
mod faults;
mod logs;
mod postgres;
mod process;
mod proxy;
mod redis;
mod sabotage;
mod servers;
mod support;
mod telemetry;
mod traces;
