//! Time intervals around now. A mute time is wall-clock time of day, which no scale divides: for a fault that mutes, the
//! named interval is written anew, so that the routes that name it are mute, or are not, whatever the clock says.

use super::super::alertmanager::AlertmanagerConfig;
use super::super::edit::Edits;
use super::super::source::{self, ConfigError};
use super::super::yaml::Node;
use super::super::{ConfigSet, alertmanager};
use super::{RenderError, Rendered, rewritten};

/// Whether the routes that name an interval are mute now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muting {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// An interval that contains now.
const NOW: &str = "[{ years: ['1970:2999'] }]";
/// One that does not.
const NEVER: &str = "[{ years: ['1970:1970'] }]";

impl Rendered {
    /// The same with this interval of `alertmanager.yml` written anew.
    ///
    /// # Errors
    /// When there is no such interval, or it both mutes and unmutes.
    pub fn with_muting(mut self, set: &ConfigSet, interval: &str, muting: Muting) -> Result<Self, RenderError> {
        let (Some(original), Some(relative)) = (&set.alertmanager, self.alertmanager.clone()) else { return Ok(self) };
        let Some(file) = self.files.iter_mut().find(|file| file.relative == relative) else { return Ok(self) };
        let text = placed(&relative, &file.text, interval, muting)?;
        *file = rewritten(&original.file, text.clone());
        let templates = original.templates.clone();
        self.config.alertmanager = Some(alertmanager::parse(source::from_text(&relative, text)?, templates)?);
        Ok(self)
    }
}

/// The text of an `alertmanager.yml` with this interval written anew.
///
/// # Errors
/// When there is no such interval, or it both mutes and unmutes.
pub fn placed(file: &std::path::Path, text: &str, interval: &str, muting: Muting) -> Result<String, ConfigError> {
    let parsed = alertmanager::parse(source::from_text(file, text.to_owned())?, Vec::new())?;
    let ((key, body), wanted) = (entry(&parsed, interval)?, content(&parsed, interval, muting)?);
    let mut edits = Edits::default();
    let end = body.span.start + text[body.span.clone()].trim_end().len();
    edits.replace(key.span.end..end, format!(": {wanted}"));
    edits.apply(text).map_err(|error| parsed.file.error(body, error.to_string()))
}

/// Whether the routes that name this interval are mute, by the text of an `alertmanager.yml` that was written by
/// [`placed`], also one that Alertmanager printed again; none when it says something else.
#[must_use]
pub fn muting(text: &str, interval: &str) -> Option<Muting> {
    let parsed = alertmanager::parse(source::from_text("status".as_ref(), text.to_owned()).ok()?, Vec::new()).ok()?;
    let years = body(&parsed, interval).ok()?.items().first()?.get("years")?.items().first()?.text()?;
    let now = match years {
        "1970:2999" => Muting::On,
        "1970" | "1970:1970" => Muting::Off,
        _ => return None,
    };
    let usual = content(&parsed, interval, Muting::On).ok()? == NOW;
    Some(match (now, usual) {
        (Muting::On, true) | (Muting::Off, false) => Muting::On,
        _ => Muting::Off,
    })
}

/// What the interval must be for its routes to be mute, or not: an interval that mutes must contain now, one in which alone
/// routes are active must not.
fn content(config: &AlertmanagerConfig, interval: &str, muting: Muting) -> Result<&'static str, ConfigError> {
    let nodes = config.route.nodes();
    let names = |list: &[String]| list.iter().any(|name| name == interval);
    let mutes = nodes.iter().any(|node| names(&node.target.muted_in));
    let activates = nodes.iter().any(|node| names(&node.target.active_in));
    match (mutes, activates, muting) {
        (true, true, _) => {
            let message = format!("`{interval}` both mutes and activates routes: no time of day does both");
            Err(config.file.error(body(config, interval)?, message))
        }
        (_, false, Muting::On) | (false, true, Muting::Off) => Ok(NOW),
        (_, false, Muting::Off) | (false, true, Muting::On) => Ok(NEVER),
    }
}

fn body<'a>(config: &'a AlertmanagerConfig, interval: &str) -> Result<&'a Node, ConfigError> {
    entry(config, interval).map(|(_, body)| body)
}

/// The key `time_intervals` of the interval of this name, and its value.
fn entry<'a>(config: &'a AlertmanagerConfig, interval: &str) -> Result<(&'a Node, &'a Node), ConfigError> {
    let document = config.file.document.as_ref();
    let lists = ["time_intervals", "mute_time_intervals"].into_iter().filter_map(|key| document?.get(key));
    let entries = lists.flat_map(Node::items);
    let own = |entry: &&Node| entry.get("name").and_then(Node::text) == Some(interval);
    let found = entries
        .into_iter()
        .find(own)
        .and_then(|entry| entry.entries().into_iter().find(|(key, _)| key.text() == Some("time_intervals")));
    found.ok_or_else(|| ConfigError::Meaning {
        location: crate::source::Location::of(&config.file.name(), &config.file.text, 0),
        message: format!("there is no time interval `{interval}`"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = "route:\n  receiver: a\n  routes:\n    - matchers: ['x=\"1\"']\n      mute_time_intervals: [night]\n    \
                        - matchers: ['x=\"2\"']\n      active_time_intervals: [day]\ntime_intervals:\n- name: night\n  \
                        time_intervals:\n  - weekdays: ['saturday']\n  - times:\n    - { start_time: '18:00', end_time: '24:00' }\n\
                        - name: day\n  time_intervals: [{ times: [{ start_time: '08:00', end_time: '18:00' }] }]\nreceivers:\n- name: a\n";

    fn place(interval: &str, muting: Muting) -> String {
        placed(Path::new("alertmanager.yml"), FILE, interval, muting).unwrap()
    }

    #[test]
    fn an_interval_is_written_anew_and_nothing_else_changes() {
        let text = place("night", Muting::On);
        assert!(text.contains("- name: night\n  time_intervals: [{ years: ['1970:2999'] }]\n- name: day"), "{text}");
        assert_eq!(muting(&text, "night"), Some(Muting::On));
        assert_eq!(muting(&place("night", Muting::Off), "night"), Some(Muting::Off));
        assert_eq!(muting(FILE, "night"), None, "what the user wrote says neither");
    }

    #[test]
    fn an_interval_that_activates_is_the_other_way_round() {
        assert!(place("day", Muting::On).contains(NEVER));
        assert!(place("day", Muting::Off).contains(NOW));
        assert_eq!(muting(&place("day", Muting::On), "day"), Some(Muting::On));
        assert_eq!(muting(&place("day", Muting::Off), "day"), Some(Muting::Off));
    }

    #[test]
    fn an_interval_nobody_wrote_is_refused() {
        let error = placed(Path::new("a.yml"), FILE, "noon", Muting::On).unwrap_err();
        assert!(error.to_string().contains("no time interval `noon`"), "{error}");
        let both = FILE.replace("active_time_intervals: [day]", "active_time_intervals: [night]");
        let error = placed(Path::new("a.yml"), &both, "night", Muting::On).unwrap_err();
        assert!(error.to_string().contains("both mutes and activates"), "{error}");
    }
}
