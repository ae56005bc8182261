//! A run's raw series in a file, `series/<scenario>.jsonl.gz` in the run's folder: everything that is needed to evaluate
//! rules against it again, and nothing outside it. Written by `run` at the end of a scenario, read by `replay`.
//!
//! Lines of JSON, compressed with gzip. The first is the [`Header`]. Then `{"times": [first, step, step …]}` lines: the
//! sample times in milliseconds, written once for all series that share them (those of one target do); and
//! `{"labels": {…}, "times": 0, "values": "1 1.5*3 NaN stale"}` lines: the values at the times of the 0-th such line, `v*n`
//! for n equal ones in a row, each as the shortest text that reads back to the same bits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::prometheus::{RawSample, RawSeries, STALE};

/// The version of the format that is written here.
pub const FORMAT: u32 = 1;
/// A recording is not read beyond this many unpacked bytes.
const LONGEST: u64 = 4 << 30;
/// The NaN that Prometheus writes for a value that is no number.
const NORMAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// Where a scenario's recording lies in its run's folder.
#[must_use]
pub fn path(folder: &Path, scenario: &str) -> PathBuf {
    folder.join("series").join(format!("{scenario}.jsonl.gz"))
}

/// What was recorded, and how it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Production seconds per real second.
    pub scale: f64,
    /// The begin, milliseconds since the epoch.
    pub from: i64,
    /// The end.
    pub until: i64,
    /// Whether everything between the two is here.
    pub extent: Extent,
    /// When Prometheus's process had started, if it said so.
    pub started: Option<i64>,
    /// When Prometheus restarted meanwhile.
    #[serde(default)]
    pub restarts: Vec<i64>,
    /// The rule groups as they were evaluated.
    pub groups: Vec<Evaluated>,
    /// The rule files.
    pub rules: Vec<RuleFile>,
}

/// Whether a recording is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// All samples from begin to end.
    Whole,
    /// The limit on time or size was met; the latest part is missing.
    Cut,
}

/// When a rule group was evaluated. Times are those at which Prometheus began, up to some milliseconds after the evaluation's
/// own timestamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evaluated {
    /// The rule file, as in [`RuleFile::file`].
    pub file: String,
    /// The group.
    pub group: String,
    /// Its interval as it ran, in milliseconds.
    pub interval: i64,
    /// The first evaluation, in microseconds.
    pub first: i64,
    /// The last evaluation.
    pub last: i64,
    /// Where in its interval an evaluation lies, in microseconds.
    pub phase: i64,
    /// Evaluations that began more than [`LATE`] after they were due.
    #[serde(default)]
    pub late: Vec<i64>,
    /// Pairs of evaluations between which none was seen although some were due.
    #[serde(default)]
    pub holes: Vec<(i64, i64)>,
}

/// An evaluation that begins this many microseconds after its timestamp is late: what it saw is not certain.
pub const LATE: i64 = 10_000;

/// Where in an interval evaluations lie that began at these times (microseconds), and which of them are late. Most begin a
/// millisecond after they are due; on a busy machine some are late by more than an interval, so that the smallest remainder
/// says nothing: it is the begin of the ten milliseconds with the most of them.
#[must_use]
pub fn beginnings(began: &[i64], interval: i64) -> (i64, Vec<i64>) {
    let interval = interval.max(1);
    let after = |phase: i64, at: i64| (at - phase).rem_euclid(interval);
    let together = |phase: i64| began.iter().filter(|at| after(phase, **at) <= LATE).count();
    let phase = began.iter().map(|at| at.rem_euclid(interval)).max_by_key(|phase| together(*phase)).unwrap_or(0);
    (phase, began.iter().copied().filter(|at| after(phase, *at) > LATE).collect())
}

/// A rule file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleFile {
    /// Relative to the configuration's root.
    pub file: String,
    /// Where the author's file was.
    pub path: String,
    /// The author's text.
    pub written: String,
}

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What it is of.
    pub header: Header,
    /// The series, in the order of their labels.
    pub series: Vec<RawSeries>,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Series.
    pub series: u64,
    /// Samples, stale markers among them.
    pub samples: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why a recording could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file.
    #[error("use the recording {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is not what it must be.
    #[error("read the recording {path}: line {line}: {message}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1, after unpacking.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Series { labels: Labels, times: usize, values: String },
    Times { times: Vec<i64> },
}

impl Recording {
    /// Writes the file in one step, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<Size, RecordingError> {
        let failed = |source| RecordingError::Io { path: path.to_path_buf(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let fresh = path.with_extension("part");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        let file = file.map_err(failed)?;
        self.pack(BufWriter::new(&file)).and_then(|()| std::fs::rename(&fresh, path)).map_err(failed)?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Ok(Size {
            series: count(self.series.len()),
            samples: count(self.series.iter().map(|series| series.samples.len()).sum()),
            bytes: file.metadata().map_err(failed)?.len(),
        })
    }

    fn pack(&self, to: impl Write) -> io::Result<()> {
        let mut out = GzEncoder::new(to, Compression::default());
        let mut line = |line: Vec<u8>| out.write_all(&line).and_then(|()| out.write_all(b"\n"));
        line(serde_json::to_vec(&self.header)?)?;
        let mut known: BTreeMap<Vec<i64>, usize> = BTreeMap::new();
        for series in &self.series {
            let times = steps(&series.samples);
            let next = known.len();
            let index = *known.entry(times.clone()).or_insert(next);
            if index == next {
                line(serde_json::to_vec(&Line::Times { times })?)?;
            }
            let values = texts(&series.samples);
            line(serde_json::to_vec(&Line::Series { labels: series.labels.clone(), times: index, values })?)?;
        }
        out.finish()?.flush()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no recording of this version.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Io { path: path.to_path_buf(), source };
        let wrong = |line, message| RecordingError::Line { path: path.to_path_buf(), line, message };
        let file = File::open(path).map_err(failed)?;
        let mut lines = BufReader::new(GzDecoder::new(file).take(LONGEST)).lines().zip(1..);
        let (first, _) = lines.next().ok_or_else(|| wrong(1, "it is empty".to_owned()))?;
        let header: Header =
            serde_json::from_str(&first.map_err(failed)?).map_err(|error| wrong(1, error.to_string()))?;
        if header.format != FORMAT {
            return Err(wrong(1, format!("format {} is not {FORMAT}, which this harness reads", header.format)));
        }
        let mut axes = Vec::new();
        let mut series = Vec::new();
        for (text, number) in lines {
            match serde_json::from_str(&text.map_err(failed)?).map_err(|error| wrong(number, error.to_string()))? {
                Line::Times { times } => axes.push(stamps(&times)),
                Line::Series { labels, times, values } => {
                    let axis = axes.get(times).ok_or_else(|| wrong(number, format!("there are no times {times}")))?;
                    let samples = samples(axis, &values).map_err(|message| wrong(number, message))?;
                    series.push(RawSeries { labels, samples });
                }
            }
        }
        Ok(Self { header, series })
    }
}

/// The first time, then the differences.
fn steps(samples: &[RawSample]) -> Vec<i64> {
    let mut before = 0;
    samples.iter().map(|sample| sample.at - std::mem::replace(&mut before, sample.at)).collect()
}

fn stamps(steps: &[i64]) -> Vec<i64> {
    let mut now = 0;
    steps
        .iter()
        .map(|step| {
            now += step;
            now
        })
        .collect()
}

fn texts(samples: &[RawSample]) -> String {
    let mut text = String::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let equal = rest.iter().take_while(|sample| sample.bits == first.bits).count();
        if !text.is_empty() {
            text.push(' ');
        }
        match first.bits {
            STALE => text.push_str("stale"),
            NORMAL_NAN => text.push_str("NaN"),
            bits if first.value().is_nan() => write!(text, "{bits:#x}").expect("a string takes everything"),
            _ => write!(text, "{}", first.value()).expect("a string takes everything"),
        }
        if equal > 1 {
            write!(text, "*{equal}").expect("a string takes everything");
        }
        rest = &rest[equal..];
    }
    text
}

fn samples(axis: &[i64], text: &str) -> Result<Vec<RawSample>, String> {
    let mut bits: Vec<u64> = Vec::with_capacity(axis.len());
    for word in text.split_ascii_whitespace() {
        let (value, count) = word.split_once('*').unwrap_or((word, "1"));
        let count: usize = count.parse().map_err(|_| format!("`{word}` has no count"))?;
        if count > axis.len() - bits.len() {
            return Err(format!("more values than the {} times", axis.len()));
        }
        bits.extend(std::iter::repeat_n(value_of(value)?, count));
    }
    if bits.len() != axis.len() {
        return Err(format!("{} values for {} times", bits.len(), axis.len()));
    }
    Ok(axis.iter().zip(bits).map(|(at, bits)| RawSample { at: *at, bits }).collect())
}

fn value_of(text: &str) -> Result<u64, String> {
    match text {
        "stale" => Ok(STALE),
        "NaN" => Ok(NORMAL_NAN),
        _ => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no value")),
            None => text.parse::<f64>().map(f64::to_bits).map_err(|_| format!("`{text}` is no value")),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            format: FORMAT,
            scenario: "s".into(),
            scale: 60.0,
            from: 0,
            until: 10,
            extent: Extent::Whole,
            started: None,
            restarts: vec![],
            groups: vec![],
            rules: vec![RuleFile { file: "r.yml".into(), path: "r.yml".into(), written: "x".into() }],
        }
    }

    fn there_and_back(series: Vec<RawSeries>) -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording { header: header(), series };
        let path = path(folder.path(), "s");
        let size = recording.write(&path).unwrap();
        assert_eq!(size.bytes, path.metadata().unwrap().len());
        let back = Recording::read(&path).unwrap();
        assert_eq!(back, recording);
        back
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(values in proptest::collection::vec((any::<i32>(), any::<u64>(), 1_usize..4), 0..40)) {
            let samples = values.iter().flat_map(|(at, bits, times)| {
                std::iter::repeat_n(RawSample { at: i64::from(*at), bits: *bits }, *times)
            });
            there_and_back(vec![RawSeries { labels: Labels::new(), samples: samples.collect() }]);
        }
    }

    #[test]
    fn late_evaluations_do_not_move_the_phase() {
        let began = [1_000_700, 1_251_100, 1_500_600, 1_750_400, 2_130_000, 2_380_000, 2_500_900];
        assert_eq!(beginnings(&began, 250_000), (400, vec![2_130_000, 2_380_000]));
        assert_eq!(beginnings(&[], 250_000), (0, vec![]));
    }

    #[test]
    fn series_of_one_target_share_their_times() {
        let one = |name: &str| RawSeries {
            labels: Labels::from([("__name__".to_owned(), name.to_owned())]),
            samples: (0..400).map(|i| RawSample { at: 1_700_000_000_000 + i * 250, bits: STALE }).collect(),
        };
        let series: Vec<RawSeries> = (0..50).map(|i| one(&format!("m{i}"))).collect();
        let mut bytes = Vec::new();
        Recording { header: header(), series: series.clone() }.pack(&mut bytes).unwrap();
        let mut text = String::new();
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("{\"times\":[").count(), 1);
        assert!(text.contains("\"values\":\"stale*400\""));
        there_and_back(series);
    }

    #[test]
    fn a_line_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl.gz");
        let write = |second: &str| {
            let mut out = GzEncoder::new(File::create(&path).unwrap(), Compression::default());
            writeln!(out, "{}\n{second}", serde_json::to_string(&header()).unwrap()).unwrap();
            out.finish().unwrap();
            Recording::read(&path).unwrap_err().to_string()
        };
        assert!(write(r#"{"labels":{},"times":0,"values":"1"}"#).contains("line 2: there are no times 0"));
        assert!(
            write("{\"times\":[1,1]}\n{\"labels\":{},\"times\":0,\"values\":\"1*3\"}").contains("line 3: more values")
        );
        assert!(write("{\"times\":[1,1]}\n{\"labels\":{},\"times\":0,\"values\":\"1 x\"}").contains("`x` is no value"));
    }
}
