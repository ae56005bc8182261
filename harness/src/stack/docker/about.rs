//! What the engine says of itself, for `harness doctor`.

use std::path::PathBuf;

use super::{Engine, EngineError, bounded};

/// An engine's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its version.
    pub version: String,
    /// The version of its API.
    pub api: String,
    /// Where it keeps images, on its own machine.
    pub root: PathBuf,
    /// How: `overlay2`.
    pub storage: String,
    /// Its control groups: `v1` or `v2`.
    pub control_groups: String,
    /// Its clock, RFC 3339.
    pub time: String,
}

impl Engine {
    /// Asks it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn about(&self) -> Result<About, EngineError> {
        let (version, info) = futures_util::future::join(
            bounded("ask the engine's version", self.docker.version()),
            bounded("ask about the engine", self.docker.info()),
        )
        .await;
        let (version, info) = (version?, info?);
        let unknown = || "unknown".to_owned();
        Ok(About {
            version: version.version.unwrap_or_else(unknown),
            api: version.api_version.unwrap_or_else(unknown),
            root: info.docker_root_dir.unwrap_or_default().into(),
            storage: info.driver.unwrap_or_else(unknown),
            control_groups: info.cgroup_version.map_or_else(unknown, |version| format!("v{version}")),
            time: info.system_time.map(|time| time.to_string()).unwrap_or_default(),
        })
    }
}
