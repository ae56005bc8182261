//! A dashboard as Grafana stores it: panels with their queries, variables, the time it opens with. Read from its JSON; data
//! sources are resolved by uid, by name, or as the default (T58).

use std::time::Duration;

use serde_json::Value;

/// A dashboard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// Stable id.
    pub uid: String,
    /// Title.
    pub title: String,
    /// The time range it opens with, production time.
    pub range: Duration,
    /// Panels that ask something, rows unfolded.
    pub panels: Vec<Panel>,
    /// Variables, in order.
    pub variables: Vec<Variable>,
}

/// A panel with at least one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Title.
    pub title: String,
    /// `timeseries`, `stat`, `logs` …
    pub kind: String,
    /// The unit of its axis, as Grafana calls it; empty for none.
    pub unit: String,
    /// Its own smallest interval.
    pub min_interval: Option<Duration>,
    /// Its own time range (`timeFrom`), production time.
    pub range: Option<Duration>,
    /// Points it asks for; none for its width.
    pub points: Option<u32>,
    /// Its queries that are not hidden.
    pub queries: Vec<Query>,
}

/// A query of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Its letter.
    pub id: String,
    /// The data source's uid, name or variable; empty for the default.
    pub source: String,
    /// As written, variables and all.
    pub text: String,
    /// Over time or at its end.
    pub shape: Shape,
    /// Its own smallest step.
    pub min_step: Option<Duration>,
}

/// What a query is evaluated over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Every step of the panel's range.
    #[default]
    Range,
    /// The end of the panel's range.
    Instant,
}

/// A variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variable {
    /// Its name, without `$`.
    pub name: String,
    /// `query`, `custom`, `constant`, `interval`, `textbox`, `datasource` …
    pub kind: String,
    /// Its query, or its values.
    pub query: String,
    /// The data source's uid.
    pub source: String,
    /// Filters and cuts the values.
    pub regex: String,
    /// What is selected when it is opened; `$__all` for all.
    pub current: Vec<String>,
    /// What "all" means, if not every value.
    pub all_value: Option<String>,
    /// Whether it may stand for several values, which makes its value a regular expression.
    pub several: Several,
}

/// Whether a variable may stand for several values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Several {
    /// It may, or it may stand for all.
    Possible,
    /// It is one.
    #[default]
    No,
}

/// A provisioned data source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// What panels refer to.
    pub uid: String,
    /// What old panels refer to.
    pub name: String,
    /// `prometheus`, `loki` …
    pub kind: String,
    /// Whether panels without a data source use it.
    pub role: SourceRole,
    /// The scrape interval it is told; none for Grafana's 15 s (T57).
    pub scrape: Option<Duration>,
}

/// Whether a data source is the default one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceRole {
    /// Panels without a data source use it.
    Default,
    /// It has to be named.
    #[default]
    Named,
}

/// The data source that a panel or variable means.
#[must_use]
pub fn source<'a>(sources: &'a [Source], named: &str) -> Option<&'a Source> {
    if named.is_empty() || named == "default" {
        return sources.iter().find(|source| source.role == SourceRole::Default);
    }
    let by_uid = sources.iter().find(|source| source.uid == named);
    by_uid.or_else(|| sources.iter().find(|source| source.name == named))
}

impl Board {
    /// Reads a dashboard's model.
    ///
    /// # Errors
    /// In words, when it is no dashboard.
    pub fn read(model: &Value) -> Result<Self, String> {
        let panels = model.get("panels").and_then(Value::as_array).ok_or("it has no `panels`")?;
        let mut board = Self {
            uid: text(model, "uid"),
            title: text(model, "title"),
            range: model.get("time").and_then(|time| relative(&text(time, "from"))).unwrap_or(HOUR),
            panels: Vec::new(),
            variables: Vec::new(),
        };
        for panel in panels {
            board.add(panel);
        }
        let variables = model.pointer("/templating/list").and_then(Value::as_array);
        board.variables = variables.into_iter().flatten().map(variable).collect();
        Ok(board)
    }

    fn add(&mut self, panel: &Value) {
        for inner in panel.get("panels").and_then(Value::as_array).into_iter().flatten() {
            self.add(inner);
        }
        let own = source_of(panel);
        let targets = panel.get("targets").and_then(Value::as_array).into_iter().flatten();
        let queries: Vec<Query> = targets.filter_map(|target| query(target, &own)).collect();
        if text(panel, "type") == "row" || queries.is_empty() {
            return;
        }
        self.panels.push(Panel {
            title: text(panel, "title"),
            kind: text(panel, "type"),
            unit: panel.pointer("/fieldConfig/defaults/unit").and_then(Value::as_str).unwrap_or_default().to_owned(),
            min_interval: interval(&text(panel, "interval")),
            range: interval(&text(panel, "timeFrom")).or_else(|| relative(&text(panel, "timeFrom"))),
            points: panel.get("maxDataPoints").and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok()),
            queries,
        });
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `{type, uid}`, or in old dashboards a name.
fn source_of(value: &Value) -> String {
    match value.get("datasource") {
        Some(Value::String(name)) => name.clone(),
        Some(object @ Value::Object(_)) => text(object, "uid"),
        _ => String::new(),
    }
}

/// A query that asks a data source; expressions over other queries and mirrors of other panels ask none.
fn query(target: &Value, panel: &str) -> Option<Query> {
    let own = source_of(target);
    let source = if own.is_empty() { panel.to_owned() } else { own };
    let elsewhere = ["__expr__", "-- Dashboard --", "-- Grafana --", "-- Mixed --"];
    let hidden = target.get("hide").and_then(Value::as_bool).unwrap_or(false);
    if hidden || elsewhere.contains(&source.as_str()) {
        return None;
    }
    let said = |key: &str| target.get(key).and_then(Value::as_bool).unwrap_or(false);
    let instant = (said("instant") && !said("range")) || text(target, "queryType") == "instant";
    Some(Query {
        id: text(target, "refId"),
        source,
        text: text(target, "expr"),
        shape: if instant { Shape::Instant } else { Shape::Range },
        min_step: interval(&text(target, "interval")),
    })
}

fn variable(value: &Value) -> Variable {
    let query = match value.get("query") {
        Some(Value::String(text)) => text.clone(),
        Some(object) => text(object, "query"),
        None => text(value, "definition"),
    };
    let current = match value.pointer("/current/value") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let said = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
    Variable {
        name: text(value, "name"),
        kind: text(value, "type"),
        query,
        source: source_of(value),
        regex: text(value, "regex"),
        current,
        all_value: Some(text(value, "allValue")).filter(|value| !value.is_empty()),
        several: if said("multi") || said("includeAll") { Several::Possible } else { Several::No },
    }
}

/// `now-1h`, `now-30m`; whole days and the like (`now/d`) count as a day.
fn relative(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix("now")?;
    match rest.strip_prefix('-') {
        Some(length) => interval(length.split('/').next().unwrap_or(length)),
        None => rest.starts_with('/').then_some(HOUR * 24),
    }
}

/// `15s`, `>1m`, `2h`, `250ms`; a bare number is seconds.
#[must_use]
pub fn interval(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0), ("y", 31_536_000.0)];
    let text = text.trim_start_matches('>').trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().ok()?;
    let factor = match &text[split..] {
        "" => 1.0,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    Duration::try_from_secs_f64(number * factor).ok().filter(|length| !length.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_unfolded_and_what_asks_nothing_is_left_out() {
        let target = |id: &str| json!({"refId": id, "expr": "up", "datasource": {"type": "prometheus", "uid": "p"}});
        let board = Board::read(&json!({"uid": "b", "title": "B", "time": {"from": "now-6h", "to": "now"}, "panels": [
            {"type": "row", "title": "folded", "panels": [{"type": "stat", "title": "inside", "targets": [target("A")]}]},
            {"type": "text", "title": "words"},
            {"type": "stat", "title": "sum", "targets": [target("A"), {"refId": "B", "datasource": {"uid": "__expr__"}},
                {"refId": "C", "expr": "up", "hide": true}]},
            {"type": "timeseries", "title": "old", "datasource": "Prometheus", "timeFrom": "2h", "interval": ">30s",
                "targets": [{"refId": "A", "expr": "up", "instant": true, "range": false}]}]}))
        .unwrap();
        let titles: Vec<(&str, usize)> =
            board.panels.iter().map(|panel| (panel.title.as_str(), panel.queries.len())).collect();
        assert_eq!(titles, [("inside", 1), ("sum", 1), ("old", 1)]);
        assert_eq!((board.range, board.panels[2].range), (HOUR * 6, Some(HOUR * 2)));
        let old = &board.panels[2];
        assert_eq!((old.min_interval, old.queries[0].shape), (Some(Duration::from_secs(30)), Shape::Instant));
        assert_eq!(old.queries[0].source, "Prometheus");
        assert!(Board::read(&json!({"title": "x"})).is_err());
    }

    #[test]
    fn a_source_is_found_by_uid_by_name_or_as_the_default_t58() {
        let sources = [
            Source { uid: "p".into(), name: "Prometheus".into(), role: SourceRole::Default, ..Source::default() },
            Source { uid: "l".into(), name: "Loki".into(), ..Source::default() },
        ];
        let found = |name: &str| source(&sources, name).map(|source| source.uid.as_str());
        assert_eq!((found("l"), found("Loki"), found(""), found("gone")), (Some("l"), Some("l"), Some("p"), None));
    }

    #[test]
    fn times_are_read_as_grafana_writes_them() {
        assert_eq!(interval("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(interval("30"), Some(Duration::from_secs(30)));
        assert_eq!(relative("now-7d"), Some(HOUR * 24 * 7));
        assert_eq!(relative("now-1d/d"), Some(HOUR * 24));
        for text in ["", "x", "5 q", "0s"] {
            assert_eq!(interval(text), None, "{text}");
        }
    }
}
