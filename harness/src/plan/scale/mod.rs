//! The time scale: the user's own Prometheus and Alertmanager files, read with positions, and rewritten in place so that a
//! drill runs them on this machine and faster. Fed with paths by the planner; read by `plan::bound`, the providers (which
//! start what was rendered) and the report (which shows the diff).

pub mod duration;
mod edit;
pub mod promql;
pub mod yaml;
