//! The Prometheus operator's resources as far as they are used here; a key that is not listed is refused. Small types of our
//! own: the crates with all of them bring a client for the API server along.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! resource {
    ($($(#[$meta:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Deserialize, Serialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(crate) struct $name { $($(#[$attribute])* #[serde(skip_serializing_if = "empty")] pub(crate) $field: $type),+ }
    )+};
}

/// Serialised away, as the API's own types do it.
fn empty<T: Serialize>(value: &T) -> bool {
    matches!(serde_json::to_value(value), Ok(Value::Null))
}

type Labels = BTreeMap<String, String>;

/// A resource: its head and what it wants.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resource<S> {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    pub(crate) spec: S,
}

pub(crate) type ServiceMonitor = Resource<ServiceMonitorSpec>;
pub(crate) type Probe = Resource<ProbeSpec>;
pub(crate) type PrometheusRule = Resource<PrometheusRuleSpec>;
pub(crate) type AlertmanagerConfig = Resource<AlertmanagerConfigSpec>;

resource! {
    Metadata { name: String, namespace: Option<String>, labels: Option<Labels>, annotations: Option<Labels> }

    ServiceMonitorSpec {
        job_label: Option<String>, body_size_limit: Option<String>, sample_limit: Option<u64>, label_limit: Option<u64>,
        selector: Selector, endpoints: Vec<Endpoint>,
    }
    Selector { match_labels: Labels }
    Endpoint {
        port: String, path: Option<String>, interval: Option<String>, scrape_timeout: Option<String>,
        relabelings: Option<Vec<Relabeling>>,
    }
    Relabeling {
        action: Option<String>, target_label: Option<String>, replacement: Option<String>, regex: Option<String>,
        source_labels: Option<Vec<String>>,
    }

    ProbeSpec {
        job_name: Option<String>, interval: Option<String>, module: Option<String>, prober: Prober, targets: Targets,
    }
    Prober { url: String }
    Targets { static_config: StaticConfig }
    StaticConfig { r#static: Vec<String> }

    PrometheusRuleSpec { groups: Vec<RuleGroup> }
    RuleGroup { name: String, interval: Option<String>, rules: Vec<Rule> }
    Rule {
        alert: Option<String>, record: Option<String>, expr: String, r#for: Option<String>, labels: Option<Labels>,
        annotations: Option<Labels>,
    }

    AlertmanagerConfigSpec {
        route: Route, receivers: Vec<Receiver>, inhibit_rules: Option<Vec<InhibitRule>>,
        mute_time_intervals: Option<Vec<MuteTimeInterval>>,
    }
    Route {
        receiver: String, group_by: Option<Vec<String>>, group_wait: Option<String>, group_interval: Option<String>,
        repeat_interval: Option<String>, matchers: Option<Vec<Matcher>>, mute_time_intervals: Option<Vec<String>>,
        routes: Option<Vec<Route>>,
    }
    Matcher { name: String, value: String, match_type: String }
    InhibitRule { source_match: Vec<Matcher>, target_match: Vec<Matcher>, equal: Option<Vec<String>> }
    MuteTimeInterval { name: String, time_intervals: Vec<TimeInterval> }
    TimeInterval { weekdays: Option<Vec<String>>, times: Option<Vec<TimeRange>> }
    TimeRange { start_time: String, end_time: String }
    Receiver {
        name: String, pagerduty_configs: Option<Vec<PagerDuty>>, slack_configs: Option<Vec<Slack>>,
        email_configs: Option<Vec<Email>>, webhook_configs: Option<Vec<Webhook>>,
    }
    SecretKey { name: String, key: String }
    KeyValue { key: String, value: String }
    PagerDuty {
        send_resolved: Option<bool>, routing_key: SecretKey, severity: Option<String>, description: Option<String>,
        details: Option<Vec<KeyValue>>,
    }
    Slack {
        send_resolved: Option<bool>, #[serde(rename = "apiURL")] api_url: SecretKey, channel: Option<String>,
        title: Option<String>, title_link: Option<String>, text: Option<String>,
    }
    Email {
        send_resolved: Option<bool>, to: String, from: Option<String>, smarthost: Option<String>,
        auth_username: Option<String>, auth_password: Option<SecretKey>, headers: Option<Vec<KeyValue>>,
    }
    Webhook { send_resolved: Option<bool>, url: Option<String>, http_config: Option<HttpConfig> }
    HttpConfig { authorization: Option<Authorization> }
    Authorization { r#type: Option<String>, credentials: SecretKey }
}
