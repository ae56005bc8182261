//! The clients of the watchers that run in a stage: where they are reached, and as whom.

use std::time::Duration;

use super::stage::Broken;
use crate::outcome::Reason;
use crate::stack::local::Allocation;
use crate::stack::spec::{Role, Spec};
use crate::telemetry::alertmanager::Alertmanager;
use crate::telemetry::grafana::Grafana;
use crate::telemetry::http::{Credentials, Settings};
use crate::telemetry::loki::{Loki, Ruler};
use crate::telemetry::prometheus::Prometheus;
use crate::trust::Access;

/// The watchers' clients.
#[derive(Clone)]
pub struct Clients {
    /// Metrics and rules.
    pub prometheus: Prometheus,
    /// Notifications, where the stack has an Alertmanager.
    pub alertmanager: Option<Alertmanager>,
    /// Logs, where it has a log store.
    pub loki: Option<Loki>,
    /// Alerts on logs, where it has a log store.
    pub ruler: Option<Ruler>,
    /// Dashboards, where Grafana runs.
    pub grafana: Option<Grafana>,
}

/// Makes them; a component that does not run has none.
pub(super) fn clients(spec: &Spec, allocation: &Allocation) -> Result<Clients, Broken> {
    let failed = |error: crate::telemetry::Error| Broken::new(Reason::Provider, format!("failed to {error}"));
    let server = |role| -> Result<Option<(String, Settings)>, Broken> {
        let Some((name, _)) = spec.with_role(role) else { return Ok(None) };
        let Some(address) = allocation.address(name, "http") else { return Ok(None) };
        let access = spec.access(name);
        let access = access.map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
        let base = format!("{}://{address}", access.scheme());
        let Access { trust, credentials } = access;
        let deadline = Duration::from_secs(3);
        Ok(Some((base, Settings { deadline, trust, credentials, ..Settings::default() })))
    };
    let (prometheus, settings) = server(Role::Prometheus)?.ok_or_else(|| {
        Broken::new(
            Reason::InvalidScenario,
            "the stack file has no component with `role = \"prometheus\"` and a port `http`",
        )
    })?;
    let prometheus = Prometheus::new(&prometheus, settings).map_err(failed)?;
    let alertmanager = server(Role::Alertmanager)?.map(|(base, settings)| Alertmanager::new(&base, settings));
    let alertmanager = alertmanager.transpose().map_err(failed)?;
    let ruler = server(Role::Loki)?.map(|(base, settings)| Ruler::new(&base, settings)).transpose().map_err(failed)?;
    let loki = server(Role::Loki)?.map(|(base, settings)| Loki::new(&base, settings)).transpose().map_err(failed)?;
    let grafana = server(Role::Grafana)?.map(|(base, settings)| {
        Grafana::new(&base, as_admin(spec, allocation, Settings { deadline: Duration::from_secs(5), ..settings }))
    });
    Ok(Clients { prometheus, alertmanager, loki, ruler, grafana: grafana.transpose().map_err(failed)? })
}

/// Grafana lets in its administrator, whose password the stack file asks for in `GF_SECURITY_ADMIN_PASSWORD`.
fn as_admin(spec: &Spec, allocation: &Allocation, usual: Settings) -> Settings {
    let Some((name, component)) = spec.with_role(Role::Grafana) else { return usual };
    let filled = |key: &str| component.env.get(key).and_then(|text| allocation.render_for(name, text).ok());
    let user = filled("GF_SECURITY_ADMIN_USER").unwrap_or_else(|| "admin".to_owned());
    let Some(password) = filled("GF_SECURITY_ADMIN_PASSWORD") else { return usual };
    Settings { credentials: Credentials::Basic { user, password }, ..usual }
}
