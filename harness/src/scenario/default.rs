//! What holds where an author says nothing; the only place with such values. `docs/scenarios.md` lists them.

use std::time::Duration;

/// Production seconds per real second.
pub const TIME_SCALE: f64 = 60.0;
/// Length of the baseline.
pub const BASELINE: Duration = Duration::from_mins(10);
/// Length of the recovery in a scenario with faults.
pub const RECOVERY: Duration = Duration::from_mins(10);
/// A request's timeout (real time).
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// Weight of a request or journey.
pub const WEIGHT: u32 = 1;
/// Most bytes of a scenario file.
pub const MAX_FILE: u64 = 1024 * 1024;
/// Deepest nesting of tables and arrays.
pub const MAX_DEPTH: usize = 32;
