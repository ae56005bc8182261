//! The local provider: components as child processes in process groups of their own, on loopback ports, with data in the
//! run's folder.
//!
//! [`Prepared`] once per suite (builds, binaries, versions), [`Allocation`] once per scenario (ports, data, secrets),
//! [`Running`] while it runs.

mod allocation;
mod contain;
mod contained;
mod error;
mod evidence;
mod log;
mod look;
mod prepare;
mod running;
mod supervisor;
mod unprivileged;

pub use self::allocation::{Allocation, AllocationError, Reader, Redactor, Secret};
pub use self::error::StartError;
pub use self::look::State;
pub(super) use self::prepare::on_path;
pub use self::prepare::{Build, Located, PrepareError, Prepared, Wanted};
pub use self::running::Running;

#[cfg(test)]
mod tests;
