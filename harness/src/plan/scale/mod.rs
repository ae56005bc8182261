//! The time scale: the user's own Prometheus and Alertmanager files, read with positions, and rewritten in place so that a
//! drill runs them on this machine and faster. Fed with paths by the planner; read by `plan::bound`, the providers (which
//! start what was rendered) and the report (which shows the diff).
//!
//! * [`source`] reads files, the only I/O here; [`config`] and [`alertmanager`] are what they say;
//! * [`ruler`] is what the log store's own ruler is told;
//! * [`promql`] and [`logql`] scale queries; [`render`] rewrites the files; [`flag`] knows the command lines.

pub mod alertmanager;
pub mod config;
pub mod duration;
pub mod edit;
pub mod flag;
pub mod logql;
pub mod problem;
pub mod promql;
pub mod render;
pub mod rule;
pub mod ruler;
pub mod source;
pub mod yaml;

pub use config::{ConfigSet, PrometheusConfig, ScrapeJob};
pub use duration::Scale;
pub use problem::{Caveat, ScaleProblem};
pub use rule::{Rule, RuleGroup, RuleKind};
pub use ruler::{LogAlert, LogGroup, RulerConfig};
pub use source::{ConfigError, ConfigPaths, read};
