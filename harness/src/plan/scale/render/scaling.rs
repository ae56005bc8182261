//! Durations: which keys hold them, how each is rounded, and what a scale cannot do. Fed by `render`.

use std::time::Duration;

use super::super::alertmanager::{
    AlertmanagerConfig, DEFAULT_GROUP_INTERVAL, DEFAULT_GROUP_WAIT, DEFAULT_REPEAT_INTERVAL,
};
use super::super::config::{DEFAULT_INTERVAL, PrometheusConfig};
use super::super::duration::{self, Rounding, SHORTEST_TICK, Scale};
use super::super::edit::{Alignment, Edits, end_of_block};
use super::super::problem::{Caveat, ScaleProblem};
use super::super::promql::{self, Context};
use super::super::source::SourceFile;
use super::super::yaml::{Flow, Node, Value};
use super::super::{flag, rule};
use super::{ConfigSet, RenderError, Work};

impl Work {
    /// Intervals and timeouts of `prometheus.yml`.
    pub(super) fn scale_prometheus(&mut self, config: &PrometheusConfig, edits: &mut Edits) {
        if self.scale.is_identity() {
            return;
        }
        let Some(document) = &config.file.document else { return };
        let global = document.get("global");
        let mut missing = Vec::new();
        for key in ["scrape_interval", "evaluation_interval"] {
            match global.and_then(|global| global.get(key)) {
                Some(node) => self.set_interval(&config.file, node, key, edits),
                None => missing.push(format!(
                    "{key}: {}",
                    duration::print(self.tick(&config.file, document, key, DEFAULT_INTERVAL))
                )),
            }
        }
        if let Some(node) = global.and_then(|global| global.get("rule_query_offset")) {
            set_duration(node, self.scale, Rounding::Up, edits);
        }
        let interval = self.shortened(config.scrape_interval);
        Self::set_timeout(global, interval, edits);
        add_defaults(&config.file.text, document, "global", &missing, edits);
        for job in document.get("scrape_configs").map(Node::items).unwrap_or_default() {
            let own = job.get("scrape_interval");
            if let Some(node) = own {
                self.set_interval(&config.file, node, "scrape_interval", edits);
            }
            let written = own.and_then(Node::text).and_then(duration::parse).map(|written| self.shortened(written));
            Self::set_timeout(Some(job), written.unwrap_or(interval), edits);
            for discovery in job.get("file_sd_configs").map(Node::items).unwrap_or_default() {
                if let Some(node) = discovery.get("refresh_interval") {
                    set_duration(node, self.scale, Rounding::Up, edits);
                }
            }
        }
    }

    fn shortened(&self, written: Duration) -> Duration {
        self.scale.shorten(written, Rounding::Up).duration
    }

    pub(super) fn set_interval(&mut self, file: &SourceFile, node: &Node, key: &str, edits: &mut Edits) {
        if let Some(written) = node.text().and_then(duration::parse) {
            let scaled = self.tick(file, node, key, written);
            edits.set(node, &duration::print(scaled));
        }
    }

    /// The scaled length of an interval that must stay on Prometheus's grid.
    pub(super) fn tick(&mut self, file: &SourceFile, node: &Node, key: &str, written: Duration) -> Duration {
        let scaled = self.scale.shorten(written, Rounding::Up);
        let largest = Scale::largest_for(written);
        let complaint = if scaled.duration < SHORTEST_TICK || (!scaled.exact && scaled.duration == SHORTEST_TICK) {
            Some(format!(
                "would be {:.1} ms, below the 250 ms at which Prometheus keeps its grid",
                written.as_secs_f64() * 1000.0 / self.scale.factor()
            ))
        } else if scaled.exact {
            None
        } else {
            Some("would be no whole number of milliseconds".to_owned())
        };
        if let Some(complaint) = complaint {
            self.problems.push(ScaleProblem {
                file: file.name(),
                line: node.line,
                message: format!("`{key}: {}` at time scale {} {complaint}", duration::print(written), self.scale),
                help: format!("use a time scale of at most {largest} that divides it, for example {largest}"),
            });
        }
        scaled.duration
    }

    /// A scrape's answer takes as long as it takes, so the timeout stays real, capped by the interval as Prometheus demands.
    fn set_timeout(holder: Option<&Node>, interval: Duration, edits: &mut Edits) {
        let Some(node) = holder.and_then(|holder| holder.get("scrape_timeout")) else { return };
        let Some(written) = node.text().and_then(duration::parse) else { return };
        if written > interval {
            edits.set(node, &duration::print(interval));
        }
    }

    /// Intervals, holds and expressions of a rule file.
    pub(super) fn scale_rules(
        &mut self,
        file: &SourceFile,
        config: &PrometheusConfig,
        context: &Context,
        edits: &mut Edits,
    ) -> Result<(), RenderError> {
        if self.scale.is_identity() {
            return Ok(());
        }
        let groups =
            rule::group_holder(file).and_then(|holder| holder.get("groups")).map(Node::items).unwrap_or_default();
        for group in groups {
            let own = group.get("interval");
            if let Some(node) = own {
                self.set_interval(file, node, "interval", edits);
            }
            if let Some(node) = group.get("query_offset") {
                set_duration(node, self.scale, Rounding::Up, edits);
            }
            let interval = own.and_then(Node::text).and_then(duration::parse).unwrap_or(config.evaluation_interval);
            for rule in group.get("rules").map(Node::items).unwrap_or_default() {
                self.scale_rule(file, rule, interval, context, edits)?;
            }
        }
        Ok(())
    }

    fn scale_rule(
        &mut self,
        file: &SourceFile,
        rule: &Node,
        interval: Duration,
        context: &Context,
        edits: &mut Edits,
    ) -> Result<(), RenderError> {
        let name = rule.get("alert").or_else(|| rule.get("record")).and_then(Node::text).unwrap_or_default().to_owned();
        for key in ["for", "keep_firing_for"] {
            let Some(node) = rule.get(key) else { continue };
            set_duration(node, self.scale, Rounding::Up, edits);
            let written = node.text().and_then(duration::parse).unwrap_or_default();
            if !written.as_nanos().is_multiple_of(interval.as_nanos().max(1)) {
                self.caveats.push(Caveat {
                    location: Some(file.location(node)),
                    subject: name.clone(),
                    message: format!(
                        "`{key}: {}` is no whole number of evaluations of {}: it takes {}, here as in production",
                        duration::print(written),
                        duration::print(interval),
                        duration::print(ceil_to(written, interval))
                    ),
                });
            }
        }
        let Some(node) = rule.get("expr") else { return Ok(()) };
        let location = file.location(node);
        let scaled = promql::scale(node.text().unwrap_or_default(), self.scale, context)
            .map_err(|source| RenderError::Expression { location: location.clone(), source })?;
        let edit_error = |source| RenderError::Edit { file: file.name(), source };
        if !scaled.replacements.is_empty() {
            let alignment = Alignment::of(&file.text, node).map_err(edit_error)?;
            for replacement in scaled.replacements {
                if let Some(range) = alignment.source_range(&replacement.span) {
                    edits.replace(range, replacement.text);
                }
            }
        }
        let doubts = scaled.doubts.into_iter();
        self.caveats.extend(doubts.map(|doubt| Caveat {
            location: Some(location.clone()),
            subject: name.clone(),
            message: doubt.message,
        }));
        Ok(())
    }

    /// Timings of `alertmanager.yml`.
    pub(super) fn scale_alertmanager(&mut self, config: &AlertmanagerConfig, edits: &mut Edits) {
        if self.scale.is_identity() {
            return;
        }
        let Some(document) = &config.file.document else { return };
        if let Some(node) = document.get("global").and_then(|global| global.get("resolve_timeout")) {
            set_duration(node, self.scale, Rounding::Up, edits);
        }
        if let Some(root) = document.get("route") {
            self.scale_route(root, edits);
            let defaults = [
                ("group_wait", DEFAULT_GROUP_WAIT),
                ("group_interval", DEFAULT_GROUP_INTERVAL),
                ("repeat_interval", DEFAULT_REPEAT_INTERVAL),
            ];
            for (key, default) in defaults.into_iter().filter(|(key, _)| root.get(key).is_none()) {
                edits.add_last(
                    &config.file.text,
                    root,
                    &format!("{key}: {}", duration::print(self.shortened(default))),
                );
            }
        }
    }

    fn scale_route(&self, route: &Node, edits: &mut Edits) {
        for key in ["group_wait", "group_interval", "repeat_interval"] {
            if let Some(node) = route.get(key) {
                set_duration(node, self.scale, Rounding::Up, edits);
            }
        }
        route
            .get("routes")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .for_each(|child| self.scale_route(child, edits));
    }

    /// What concerns the run as a whole.
    pub(super) fn general_caveats(&mut self, set: &ConfigSet) {
        if self.scale.is_identity() {
            return;
        }
        let fixed = "what no setting shortens stays as long as in production: Prometheus finds Alertmanager 5 s after a start or reload, \
                     sends resolved alerts again for 15 min, and Alertmanager forgets an empty group after up to 30 s";
        self.caveats.push(Caveat::general(fixed));
        self.scrape_timeouts(set);
        let (resend, meant) = (flag::resend_delay(self.scale), self.shortened(flag::RESEND_DELAY));
        if resend > meant {
            self.caveats.push(Caveat::general(format!(
                "Prometheus sends a firing alert again every {} and not every {}, because a restart silences it for 5 s: \
                 when it dies, Alertmanager resolves after {} here and after 4m in production",
                duration::print(resend),
                duration::print(meant),
                duration::print(resend * 4)
            )));
        }
        if let Some(manager) = set.alertmanager.as_ref().filter(|manager| !manager.time_intervals.is_empty()) {
            self.caveats.push(Caveat {
                location: None,
                subject: manager.time_intervals.join(", "),
                message: "time intervals read the wall clock, which no scale compresses: they mute and unmute as at this hour of this day".to_owned(),
            });
        }
    }
}

impl Work {
    fn scrape_timeouts(&mut self, set: &ConfigSet) {
        for job in &set.prometheus.jobs {
            let interval = self.shortened(job.interval);
            if job.timeout > interval {
                self.caveats.push(Caveat {
                    location: Some(job.location.clone()),
                    subject: job.name.clone(),
                    message: format!(
                        "answers take real time: a scrape may take {} here and {} in production, so a slower target is down only here",
                        duration::print(interval),
                        duration::print(job.timeout)
                    ),
                });
            }
        }
    }
}

/// The next multiple of `interval`.
pub(crate) fn ceil_to(duration: Duration, interval: Duration) -> Duration {
    let step = interval.as_millis().max(1);
    let millis = duration.as_millis().div_ceil(step) * step;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

pub(super) fn set_duration(node: &Node, scale: Scale, rounding: Rounding, edits: &mut Edits) {
    if let Some(written) = node.text().and_then(duration::parse).filter(|written| !written.is_zero()) {
        edits.set(node, &duration::print(scale.shorten(written, rounding).duration));
    }
}

/// Writes out defaults, which would otherwise stay as long as in production.
fn add_defaults(source: &str, document: &Node, key: &str, entries: &[String], edits: &mut Edits) {
    if entries.is_empty() {
        return;
    }
    match document.own_entry(key) {
        Some((_, holder)) if holder.is_mapping() => {
            entries.iter().for_each(|entry| edits.add_last(source, holder, entry))
        }
        Some((_, null)) => edits.set(null, &format!("{{{}}}", entries.join(", "))),
        None => edits.add_first(source, document, &format!("{key}: {{{}}}", entries.join(", "))),
    }
}

/// Makes a plain rule file of a `PrometheusRule`: Prometheus reads only `groups`.
pub(super) fn unwrap_resource(file: &SourceFile, edits: &mut Edits) {
    let (Some(document), Some(holder)) = (&file.document, rule::group_holder(file)) else { return };
    let Some(groups) = holder.get("groups").filter(|_| holder.span != document.span) else { return };
    let text = &file.text;
    match groups.value {
        Value::Sequence(_, Flow::Block) => {
            let start = text[..groups.span.start].rfind('\n').map_or(0, |newline| newline + 1);
            let end = end_of_block(text, groups);
            edits.replace(0..start, "groups:\n");
            edits.replace(end..text.len(), "");
        }
        _ => {
            edits.replace(0..groups.span.start, "groups: ");
            edits.replace(groups.span.end..text.len(), "\n");
        }
    }
}
