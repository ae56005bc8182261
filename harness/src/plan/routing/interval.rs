//! Alertmanager's time intervals: which times of which days they contain. UTC only: a `location` needs the time zones of the
//! machine that Alertmanager runs on. Part of `routing`.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::file::Time;
use crate::plan::scale::alertmanager::AlertmanagerConfig;
use crate::plan::scale::source::{ConfigError, SourceFile};
use crate::plan::scale::yaml::Node;

/// A named time interval: a time is inside when one of its parts contains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval(Vec<Part>);

/// A part; what is empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Part {
    /// Minutes of the day, the end not included.
    times: Vec<(i32, i32)>,
    /// Sunday is 0; both ends included.
    weekdays: Vec<(i32, i32)>,
    /// From 1, or from the end with -1; both included.
    days_of_month: Vec<(i32, i32)>,
    months: Vec<(i32, i32)>,
    years: Vec<(i32, i32)>,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Interval {
    /// Whether it contains a time.
    #[must_use]
    pub fn contains(&self, time: Time) -> bool {
        self.0.iter().any(|part| part.contains(time))
    }
}

impl Part {
    fn contains(&self, Time(at): Time) -> bool {
        let within = |ranges: &[(i32, i32)], value: i32| {
            ranges.is_empty() || ranges.iter().any(|(first, last)| value >= *first && value <= *last)
        };
        let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
        let timely = self.times.is_empty() || self.times.iter().any(|(start, end)| minute >= *start && minute < *end);
        timely
            && within(&self.weekdays, i32::from(at.weekday().to_sunday_zero_offset()))
            && within(&self.months, i32::from(at.month()))
            && within(&self.years, i32::from(at.year()))
            && (self.days_of_month.is_empty() || self.days_of_month.iter().any(|days| in_month(*days, at.date())))
    }
}

/// Days from the end of the month count backwards; what lies outside of the month is cut to it.
fn in_month((first, last): (i32, i32), date: Date) -> bool {
    let length = i32::from(date.days_in_month());
    let day = |written: i32| if written < 0 { length + written + 1 } else { written };
    let (first, last) = (day(first), day(last));
    if first > length || last < 1 {
        return false;
    }
    let today = i32::from(date.day());
    today >= first.max(1) && today <= last.min(length)
}

/// The named intervals of an `alertmanager.yml`.
///
/// # Errors
/// When one is malformed, or has a `location` other than UTC.
pub fn intervals(config: &AlertmanagerConfig) -> Result<BTreeMap<String, Interval>, ConfigError> {
    let file = &config.file;
    let document = file.document.as_ref();
    let lists = ["time_intervals", "mute_time_intervals"].into_iter().filter_map(|key| document?.get(key));
    let mut found = BTreeMap::new();
    for entry in lists.flat_map(Node::items) {
        let Some(name) = entry.get("name").and_then(Node::text) else { continue };
        let parts = entry.get("time_intervals").map(Node::items).unwrap_or_default();
        found.insert(name.to_owned(), Interval(parts.iter().map(|part| read(file, part)).collect::<Result<_, _>>()?));
    }
    Ok(found)
}

fn read(file: &SourceFile, node: &Node) -> Result<Part, ConfigError> {
    if let Some(location) = node.get("location").filter(|location| location.text() != Some("UTC")) {
        let message = "a `location` other than UTC cannot be evaluated here: leave `at` out of the cases, or write UTC";
        return Err(file.error(location, message));
    }
    let ranges = |key: &str, names: &[&str], base: i32| -> Result<Vec<(i32, i32)>, ConfigError> {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        items.iter().map(|item| range(file, item, names, base)).collect()
    };
    let times = node.get("times").map(Node::items).unwrap_or_default();
    let time = |entry: &Node| Ok((minutes(file, entry, "start_time")?, minutes(file, entry, "end_time")?));
    Ok(Part {
        times: times.iter().map(time).collect::<Result<_, ConfigError>>()?,
        weekdays: ranges("weekdays", &WEEKDAYS, 0)?,
        days_of_month: ranges("days_of_month", &[], 0)?,
        months: ranges("months", &MONTHS, 1)?,
        years: ranges("years", &[], 0)?,
    })
}

/// `monday:friday`, `1:5`, `-3:-1` or one of them alone.
fn range(file: &SourceFile, node: &Node, names: &[&str], base: i32) -> Result<(i32, i32), ConfigError> {
    let text = node.text().unwrap_or_default().to_ascii_lowercase();
    let (first, last) = text.split_once(':').unwrap_or((&text, &text));
    let value = |word: &str| {
        let named = names.iter().zip(base..).find(|(name, _)| **name == word.trim()).map(|(_, value)| value);
        named.or_else(|| word.trim().parse().ok())
    };
    value(first).zip(value(last)).ok_or_else(|| file.error(node, format!("`{text}` is no range of a time interval")))
}

fn minutes(file: &SourceFile, entry: &Node, key: &str) -> Result<i32, ConfigError> {
    let text = entry.get(key).and_then(Node::text).unwrap_or_default();
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (i32, i32) = (hour.parse().ok()?, minute.parse().ok()?);
        let inside = (0..=24).contains(&hour) && (0..60).contains(&minute) && (hour < 24 || minute == 0);
        inside.then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| file.error(entry, format!("`{key}: {text}` is no time of day such as 08:00")))
}
