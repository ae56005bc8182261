//! The client of Loki's ruler: its rules and alerts, which it tells as Prometheus does, and its own counts of evaluations.

use std::collections::BTreeMap;

use super::super::http::{Endpoint, Settings, exposition};
use super::super::prometheus::{Group, OwnCounters, Prometheus};
use super::super::{Answer, Error};

/// What Loki puts before Prometheus's names of metrics.
const PREFIX: &str = "loki_";

/// The ruler of a log store.
#[derive(Clone)]
pub struct Ruler {
    rules: Prometheus,
    store: Endpoint,
}

impl Ruler {
    /// A client for the ruler of the store at `base`, without `/loki` or `/prometheus`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        let rules = Prometheus::new(&format!("{base}/prometheus"), settings.clone())?;
        Ok(Self { rules, store: Endpoint::new(base, settings)? })
    }

    /// All rule groups with their alerts; a group's file is its name in the tenant's folder.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rules(&self) -> Result<Answer<Vec<Group>>, Error> {
        self.rules.rules().await
    }

    /// Its own counts, by groups named as [`Self::rules`] names them: `<file>;<group>`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_counters(&self) -> Result<OwnCounters, Error> {
        let counters = OwnCounters::prefixed(&exposition(&self.store, "metrics").await?, PREFIX);
        Ok(OwnCounters {
            iterations: by_file(counters.iterations),
            iterations_missed: by_file(counters.iterations_missed),
            evaluation_failures: by_file(counters.evaluation_failures),
            ..counters
        })
    }
}

/// `/rules/fake/a.yml;group` as `a.yml;group`.
fn by_file(groups: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let short = |key: String| match key.split_once(';') {
        Some((path, group)) => format!("{};{group}", path.rsplit('/').next().unwrap_or(path)),
        None => key,
    };
    groups.into_iter().map(|(key, count)| (short(key), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_by_their_file_and_not_by_where_loki_copies_it_to() {
        let counts = BTreeMap::from([("/data/rules/fake/a.yml;g/h".to_owned(), 2.0), ("g".to_owned(), 1.0)]);
        assert_eq!(by_file(counts), BTreeMap::from([("a.yml;g/h".to_owned(), 2.0), ("g".to_owned(), 1.0)]));
    }
}
