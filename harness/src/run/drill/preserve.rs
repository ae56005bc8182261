//! The last thing before the stack goes: what Prometheus stored is kept in the run's folder, so that rules can be evaluated
//! against it again. Bounded in time and size; a run that was interrupted keeps what it has, in less time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Floor;
use crate::clock::Stamp;
use crate::event::EventKind;
use crate::telemetry::prometheus::{Pick, Prometheus, RawSeries};
use crate::telemetry::recording::{self, Evaluated, Extent, FORMAT, Header, Recording, RuleFile};
use crate::telemetry::{Error, Labels};

/// How much is asked for at once, real time.
const SLICE: Duration = Duration::from_secs(10 * 60);
/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a run that was interrupted.
const SHORT_PATIENCE: Duration = Duration::from_secs(4);
/// The most bytes of one packed answer.
const LONGEST_ANSWER: usize = 256 << 20;
/// No more samples than this are kept: at 16 bytes each, what a machine can spare.
const MOST_SAMPLES: usize = 20_000_000;

impl Floor {
    /// Writes `series/<scenario>.jsonl.gz`. Nothing when the stack never ran; a warning when it cannot be done.
    pub(super) async fn preserve(&mut self) {
        if self.times.load_started.is_none() {
            return;
        }
        let (from, until) = (self.begun, self.sink().now());
        let patience = if self.interrupted { SHORT_PATIENCE } else { PATIENCE };
        let client = self.built.clients.prometheus.patient(patience, LONGEST_ANSWER);
        let (series, extent) = match read(&client, from, until, Instant::now() + patience).await {
            Ok(read) => read,
            Err(error) => return self.not_preserved(&error.to_string()),
        };
        let outside = &self.built.rendered.config.prometheus.external_labels;
        let recording = Recording { header: self.header(from, until, extent), series: inside(series, outside) };
        let path = recording::path(&self.drill.place.folder, &self.plan().name);
        let written = tokio::task::spawn_blocking(move || recording.write(&path)).await;
        match written {
            Ok(Ok(size)) => self.sink().tell(EventKind::SeriesRecorded {
                file: format!("series/{}.jsonl.gz", self.plan().name),
                series: size.series,
                samples: size.samples,
                bytes: size.bytes,
                whole: extent == Extent::Whole,
            }),
            Ok(Err(error)) => self.not_preserved(&error.to_string()),
            Err(error) => self.not_preserved(&error.to_string()),
        }
    }

    fn not_preserved(&self, why: &str) {
        let message = format!("the run's series could not be kept, so that it cannot be replayed: failed to {why}");
        self.sink().tell(EventKind::Warned { message });
    }

    fn header(&self, from: Stamp, until: Stamp, extent: Extent) -> Header {
        let rules: Vec<RuleFile> = self
            .drill
            .config
            .prometheus
            .rule_files
            .iter()
            .map(|file| RuleFile {
                file: file.relative.display().to_string(),
                path: std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone()).display().to_string(),
                written: file.text.clone(),
            })
            .collect();
        let seen = self.record.evaluated();
        let groups = seen.groups.into_iter().map(|group| Evaluated { file: known_file(&group.file, &rules), ..group });
        Header {
            format: FORMAT,
            scenario: self.plan().name.clone(),
            scale: self.plan().scale,
            from: milliseconds(from),
            until: milliseconds(until),
            extent,
            started: seen.started.map(milliseconds),
            restarts: seen.restarts.into_iter().map(milliseconds).collect(),
            groups: groups.collect(),
            rules,
        }
    }
}

const fn milliseconds(at: Stamp) -> i64 {
    at.0.div_euclid(1000)
}

/// The name by which the recording knows a rule file: Prometheus knows it by where its copy lies.
fn known_file(seen: &str, rules: &[RuleFile]) -> String {
    let known = rules.iter().filter(|rule| Path::new(seen).ends_with(&rule.file)).max_by_key(|rule| rule.file.len());
    known.map_or_else(|| seen.to_owned(), |rule| rule.file.clone())
}

/// Reads slice by slice, until all is read or a limit is met.
async fn read(
    client: &Prometheus,
    from: Stamp,
    until: Stamp,
    deadline: Instant,
) -> Result<(Vec<RawSeries>, Extent), Error> {
    let mut known: BTreeMap<Labels, RawSeries> = BTreeMap::new();
    let (mut start, end) = (milliseconds(from), milliseconds(until));
    let slice = i64::try_from(SLICE.as_millis()).unwrap_or(i64::MAX);
    let mut samples = 0;
    let mut extent = Extent::Whole;
    while start <= end {
        let last = end.min(start + slice - 1);
        let read = match timeout_at(deadline, client.read_raw(&Pick::Everything, start, last)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) if known.is_empty() => return Err(error),
            Ok(Err(_)) | Err(_) => {
                extent = Extent::Cut;
                break;
            }
        };
        for mut one in read {
            samples += one.samples.len();
            let labels = one.labels.clone();
            known
                .entry(labels.clone())
                .or_insert_with(|| RawSeries { labels, samples: Vec::new() })
                .samples
                .append(&mut one.samples);
        }
        if samples > MOST_SAMPLES {
            extent = Extent::Cut;
            break;
        }
        start = last + 1;
    }
    Ok((known.into_values().collect(), extent))
}

/// The series as rules see them, without what Prometheus adds to everything that leaves it.
fn inside(series: Vec<RawSeries>, outside: &Labels) -> Vec<RawSeries> {
    let mut series = series;
    for one in &mut series {
        one.labels.retain(|name, value| outside.get(name) != Some(value));
    }
    series.sort_unstable();
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_are_taken_off_where_prometheus_put_them_and_nowhere_else() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let series = |pairs| RawSeries { labels: labels(pairs), samples: vec![] };
        let outside = labels(&[("cluster", "a")]);
        let all = inside(vec![series(&[("x", "1"), ("cluster", "a")]), series(&[("cluster", "b")])], &outside);
        assert_eq!(all, [series(&[("cluster", "b")]), series(&[("x", "1")])]);
    }

    #[test]
    fn a_rule_file_is_known_by_its_place_below_the_configuration() {
        let rule = |file: &str| RuleFile { file: file.into(), path: String::new(), written: String::new() };
        let rules = [rule("a.yml"), rule("rules/a.yml")];
        assert_eq!(known_file("/run/config/s/rules/a.yml", &rules), "rules/a.yml");
        assert_eq!(known_file("/run/config/s/a.yml", &rules), "a.yml");
        assert_eq!(known_file("/elsewhere/b.yml", &rules), "/elsewhere/b.yml");
    }
}
