//! Expectations about signals, from as written to what will be judged: series, agreements, dashboards, Grafana's own rules.

use std::collections::BTreeSet;

use super::{Builder, Step};
use crate::expect::dashboard::{self, Dashboard};
use crate::expect::managed::Managed;
use crate::expect::series::{Birth, Series};
use crate::expect::{Agreement, Counted, Dimension, Expectation, Observer};
use crate::plan::provision::Existence;
use crate::scenario::model;

impl Builder<'_> {
    pub(super) fn dashboard(&self, written: &model::Dashboard) -> Dashboard {
        Dashboard {
            uid: written.uid.get().clone(),
            panels: written.panels.iter().map(|panel| panel.get().clone()).collect(),
            shows: match written.shows {
                model::Shows::Data => dashboard::Shows::Data,
                model::Shows::Nothing => dashboard::Shows::Nothing,
                model::Shows::Rises => dashboard::Shows::Rises,
                model::Shows::Falls => dashboard::Shows::Falls,
            },
            provisioned: self.provisioned.board(written.uid.get()),
            sources: self.provisioned.sources.clone(),
        }
    }

    /// Grafana's own rules are judged wherever its dashboards are.
    pub(super) fn managed(&self, steps: &[Step], known: &[String]) -> Option<Expectation> {
        let looks = steps.iter().any(|step| matches!(step.what, Expectation::Dashboard(_)));
        let missing = self.provisioned.receivers.iter().filter(|(_, existence)| **existence == Existence::Missing);
        (looks && !self.provisioned.rules.is_empty()).then(|| {
            Expectation::Managed(Managed {
                rules: self.provisioned.rules.clone(),
                sources: self.provisioned.sources.clone(),
                missing_receivers: missing.map(|(name, _)| name.clone()).collect(),
                known: known.to_vec(),
            })
        })
    }
}

/// A series expectation.
pub(super) fn series(written: &model::Series) -> Series {
    Series {
        metric: written.metric.get().clone(),
        kind: written.r#type.map(model::MetricType::word),
        unit: written.unit.clone(),
        labels: written.labels.iter().map(|label| label.get().clone()).collect(),
        buckets: written.buckets.iter().map(|bound| *bound.get()).collect(),
        max_series: written.max_series.as_ref().map(|most| *most.get()),
        birth: if written.zero_initialised { Birth::AtZero } else { Birth::Anyhow },
    }
}

/// An agreement; who is not named takes part if it can.
pub(super) fn agreement(written: &model::Agreement) -> Agreement {
    let between: BTreeSet<Observer> = written
        .between
        .iter()
        .map(|observer| match observer.get() {
            model::Observer::Client => Observer::Client,
            model::Observer::Metrics => Observer::Metrics,
            model::Observer::Logs => Observer::Logs,
        })
        .collect();
    let by = written.by.iter().filter_map(|name| match name.get().as_str() {
        "route" => Some(Dimension::Route),
        "status" => Some(Dimension::Status),
        "method" => Some(Dimension::Method),
        _ => None,
    });
    let all = BTreeSet::from([Observer::Client, Observer::Metrics, Observer::Logs]);
    Agreement {
        of: match written.of {
            model::Counted::Requests => Counted::Requests,
            model::Counted::LogLines => Counted::LogLines,
            model::Counted::Latency => Counted::Latency,
        },
        between: if between.is_empty() { all } else { between },
        by: by.collect(),
        tolerance: written.tolerance.map_or(0.0, |share| share.0),
    }
}

/// One line for tables.
pub(super) fn title(written: &model::Agreement, window: &model::Window) -> String {
    let names: Vec<String> =
        written.between.iter().map(|observer| format!("{:?}", observer.get()).to_lowercase()).collect();
    match written.of {
        model::Counted::Requests => format!("{} agree on requests ({window})", names.join(", ")),
        model::Counted::LogLines => format!("every log line arrives, once ({window})"),
        model::Counted::Latency => format!("client and histogram agree on latency ({window})"),
    }
}
