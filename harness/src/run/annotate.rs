//! Shows what a drill did on the dashboards that somebody may be looking at: fault windows as annotations of Grafana.

use super::windows::FaultTimes;
use crate::telemetry::Error;
use crate::telemetry::grafana::Grafana;
use crate::telemetry::grafana::annotation::{Annotation, post};

/// Posts a fault's window, from the inject call to the proof that it is gone. Nothing where it never began or ended.
///
/// # Errors
/// When Grafana does not take it; a drill goes on without.
pub async fn fault(grafana: &Grafana, scenario: &str, id: &str, title: &str, times: FaultTimes) -> Result<(), Error> {
    let (Some(from), Some(to)) = (times.injecting, times.gone.or(times.reverting)) else { return Ok(()) };
    let tags = vec!["drill".to_owned(), scenario.to_owned(), id.to_owned()];
    let text = format!("{id}: {title} (drill {scenario})");
    post(grafana, &Annotation { from, to, tags, text }).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;
    use crate::telemetry::http::Settings;
    use crate::telemetry::wire::Server;

    fn times() -> FaultTimes {
        let at = |second: i64| Some(Stamp(1_795_168_800_000_000 + second * 1_000_000));
        FaultTimes { injecting: at(0), proved: at(1), reverting: at(9), gone: at(10) }
    }

    #[tokio::test]
    async fn a_fault_is_posted_as_a_window_with_its_tags() {
        let server = Server::always(200, r#"{"message":"Annotation added","id":7}"#).await;
        let grafana = Grafana::new(&server.url, Settings::default()).unwrap();
        fault(&grafana, "http-error-burst", "burst", "errors of inventory-service", times()).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked[0].line, "POST /api/annotations");
        let sent: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
        assert_eq!((&sent["time"], &sent["timeEnd"]), (&1_795_168_800_000_i64.into(), &1_795_168_810_000_i64.into()));
        assert_eq!(sent["tags"], serde_json::json!(["drill", "http-error-burst", "burst"]));
    }

    #[tokio::test]
    async fn a_fault_that_never_began_is_not_shown_and_a_refusal_is_told() {
        let server = Server::always(403, r#"{"message":"permission denied"}"#).await;
        let grafana = Grafana::new(&server.url, Settings::default()).unwrap();
        assert_eq!(fault(&grafana, "s", "f", "t", FaultTimes::default()).await, Ok(()));
        assert_eq!(server.asked().len(), 0);
        assert!(matches!(fault(&grafana, "s", "f", "t", times()).await, Err(Error::Auth { .. })));
    }
}
