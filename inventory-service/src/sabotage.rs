//! Ways to make this service lie, for the acceptance tests of whatever watches it: a watcher that does not notice is
//! broken. Chosen at start by `INVENTORY_SABOTAGE=<name>,<name>`, honoured only with `INVENTORY_FAULTS=enabled`.

/// Which lies are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, named one by one where they are read")]
pub struct Sabotage {
    /// `count-twice`: every request is counted twice.
    pub count_twice: bool,
    /// `silent-logs`: no access line is written.
    pub silent_logs: bool,
    /// `metrics-404`: `/metrics` does not exist.
    pub metrics_404: bool,
    /// `frozen-metrics`: `/metrics` answers its first body for ever.
    pub frozen_metrics: bool,
    /// `uncounted-errors`: answers of 500 and above are not counted.
    pub uncounted_errors: bool,
    /// `no-request-id`: access lines do not say which request they are about.
    pub no_request_id: bool,
    /// `drop-status-label`: requests are counted without their status.
    pub drop_status_label: bool,
}

impl Sabotage {
    /// Reads a comma-separated list; empty is none.
    ///
    /// # Errors
    /// When a name is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sabotage = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let switch = match name {
                "count-twice" => &mut sabotage.count_twice,
                "silent-logs" => &mut sabotage.silent_logs,
                "metrics-404" => &mut sabotage.metrics_404,
                "frozen-metrics" => &mut sabotage.frozen_metrics,
                "uncounted-errors" => &mut sabotage.uncounted_errors,
                "no-request-id" => &mut sabotage.no_request_id,
                "drop-status-label" => &mut sabotage.drop_status_label,
                _ => return Err(format!("there is no sabotage called `{name}`")),
            };
            *switch = true;
        }
        Ok(sabotage)
    }
}
