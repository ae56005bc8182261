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
    /// `drop-objective-bucket`: no histogram has a bucket at 0.25 s.
    pub drop_objective_bucket: bool,
    /// `user-label`: requests are counted by user.
    pub user_label: bool,
    /// `stop-shipping`: the log store gets the first lines only.
    pub stop_shipping: bool,
    /// `ship-twice`: the log store gets every line again, with another time.
    pub ship_twice: bool,
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
                "drop-objective-bucket" => &mut sabotage.drop_objective_bucket,
                "user-label" => &mut sabotage.user_label,
                "stop-shipping" => &mut sabotage.stop_shipping,
                "ship-twice" => &mut sabotage.ship_twice,
                _ => return Err(format!("there is no sabotage called `{name}`")),
            };
            *switch = true;
        }
        Ok(sabotage)
    }
}

/// How many users `user-label` tells of.
const USERS: usize = 500;

/// Falsifies what `/metrics` serves.
#[must_use]
pub fn falsified(body: String, sabotage: Sabotage) -> String {
    let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
    if sabotage.drop_objective_bucket {
        lines.retain(|line| !line.contains("le=\"0.25\""));
    }
    if sabotage.user_label {
        let first = lines.iter().position(|line| line.starts_with("http_requests_total{"));
        let series =
            first.and_then(|at| lines[at].split_once('{').map(|(name, rest)| (at, name.to_owned(), rest.to_owned())));
        if let Some((at, name, rest)) = series {
            let users = (0..USERS).map(|user| format!("{name}{{user_id=\"u{user:03}\",{rest}"));
            lines.splice(at..at, users.collect::<Vec<_>>());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "a_bucket{le=\"0.25\"} 1\na_bucket{le=\"+Inf\"} 1\nhttp_requests_total{status=\"200\"} 5\n";

    #[test]
    fn expositions_are_falsified_only_as_asked() {
        assert_eq!(falsified(BODY.to_owned(), Sabotage::default()), BODY);
        let bucket = Sabotage { drop_objective_bucket: true, ..Sabotage::default() };
        assert!(!falsified(BODY.to_owned(), bucket).contains("0.25"));
        let users = falsified(BODY.to_owned(), Sabotage { user_label: true, ..Sabotage::default() });
        assert_eq!(users.matches("http_requests_total{user_id=\"u").count(), USERS);
        assert!(users.contains("http_requests_total{user_id=\"u007\",status=\"200\"} 5\n"));
    }
}
