//! The ruler of the log store at a time scale: its intervals and holds as Prometheus's, the windows of its expressions as those of
//! queries. Fed by `render`.

use std::time::Duration;

use super::super::duration::{self, Rounding, Scale};
use super::super::edit::{Alignment, Edits};
use super::super::problem::{Caveat, ScaleProblem};
use super::super::ruler::RulerConfig;
use super::super::source::SourceFile;
use super::super::yaml::Node;
use super::super::{flag, logql, ruler};
use super::scaling::set_duration;
use super::{ConfigSet, RenderError, RewrittenFile, Work, applied};

impl Work {
    /// Loki's configuration and the rule files of its ruler.
    pub(super) fn ruler(
        &mut self,
        set: &ConfigSet,
    ) -> Result<(Option<RewrittenFile>, Vec<RewrittenFile>), RenderError> {
        let Some(config) = &set.ruler else { return Ok((None, Vec::new())) };
        let mut edits = Edits::default();
        self.scale_loki(config, &mut edits);
        let loki = applied(&config.file, &edits)?;
        let mut files = Vec::new();
        for file in &config.rule_files {
            let mut edits = Edits::default();
            self.scale_log_rules(file, &mut edits)?;
            files.push(applied(file, &edits)?);
        }
        for (_, alert) in config.alerts().filter(|(_, alert)| !alert.keep_firing.is_zero()) {
            self.caveats.push(Caveat {
                location: Some(alert.location.clone()),
                subject: alert.name.clone(),
                message: "Grafana Loki reads `keep_firing_for` and does not obey it; the embedded log store does"
                    .to_owned(),
            });
        }
        Ok((Some(loki), files))
    }

    /// Intervals of the `ruler` section; those that are not written would stay as long as in production.
    fn scale_loki(&mut self, config: &RulerConfig, edits: &mut Edits) {
        let Some(section) = ruler::section(&config.file).filter(|_| !self.scale.is_identity()) else { return };
        let mut missing = Vec::new();
        match section.get("evaluation_interval") {
            Some(node) => self.set_interval(&config.file, node, "evaluation_interval", edits),
            None => {
                let key = "evaluation_interval";
                let scaled = self.tick(&config.file, section, key, config.evaluation_interval);
                missing.push(format!("{key}: {}", duration::print(scaled)));
            }
        }
        match section.get("resend_delay") {
            Some(node) => set_duration(node, self.scale, Rounding::Up, edits),
            None => missing.push(format!("resend_delay: {}", duration::print(flag::resend_delay(self.scale)))),
        }
        for entry in missing {
            edits.add_last(&config.file.text, section, &entry);
        }
    }

    fn scale_log_rules(&mut self, file: &SourceFile, edits: &mut Edits) -> Result<(), RenderError> {
        if self.scale.is_identity() {
            return Ok(());
        }
        let document = file.document.as_ref();
        for group in document.and_then(|document| document.get("groups")).map(Node::items).unwrap_or_default() {
            if let Some(node) = group.get("interval") {
                self.set_interval(file, node, "interval", edits);
            }
            for rule in group.get("rules").map(Node::items).unwrap_or_default() {
                for key in ["for", "keep_firing_for"] {
                    if let Some(node) = rule.get(key) {
                        set_duration(node, self.scale, Rounding::Up, edits);
                    }
                }
                if let Some(node) = rule.get("expr") {
                    self.scale_log_expression(file, node, edits)?;
                }
            }
        }
        Ok(())
    }

    /// Divides the windows of an expression, and proves it: the parsed windows must be those of the author, divided.
    fn scale_log_expression(&mut self, file: &SourceFile, node: &Node, edits: &mut Edits) -> Result<(), RenderError> {
        let text = node.text().unwrap_or_default();
        let scale = self.scale;
        let divided = |windows: Vec<(Duration, i64)>| -> Vec<(Duration, i64)> {
            windows
                .into_iter()
                .map(|(window, offset)| (shortened(window, scale), shortened_offset(offset, scale)))
                .collect()
        };
        let wanted = logql::windows(text).map(divided);
        if wanted.is_err() || wanted != logql::windows(&logql::scale(text, scale)) {
            self.problems.push(ScaleProblem {
                file: file.name(),
                line: node.line,
                message: "the windows of this expression cannot be divided by the time scale".to_owned(),
                help: "write durations such as [5m] or [1h30m], or run at --time-scale 1".to_owned(),
            });
            return Ok(());
        }
        let edit_error = |source| RenderError::Edit { file: file.name(), source };
        let replacements = logql::replacements(text, scale);
        if replacements.is_empty() {
            return Ok(());
        }
        let alignment = Alignment::of(&file.text, node).map_err(edit_error)?;
        for replacement in replacements {
            if let Some(range) = alignment.source_range(&replacement.span) {
                edits.replace(range, replacement.text);
            }
        }
        Ok(())
    }
}

fn shortened(window: Duration, scale: Scale) -> Duration {
    scale.shorten(window, Rounding::Down).duration
}

fn shortened_offset(offset: i64, scale: Scale) -> i64 {
    let length = shortened(Duration::from_nanos(offset.unsigned_abs()), scale);
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX) * offset.signum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::config::Evaluator;
    use super::super::super::source::{ConfigPaths, read};
    use super::super::{Rendered, plan};
    use super::*;

    const LOKI: &str = "auth_enabled: false\nruler:\n  storage:\n    local:\n      directory: ${LOKI_RULES:-/etc/loki/rules}\n  \
                        evaluation_interval: 30s # often\n";
    const RULES: &str = "groups:\n  - name: logs\n    interval: 1m\n    rules:\n      - alert: Errors\n        expr: |\n          \
                         sum(count_over_time({a=\"[5m]\"}[5m]))\n            > 5 # of [5m]\n        for: 5m\n        \
                         annotations: {summary: 'in [5m]'}\n      - record: x\n        expr: rate({a=\"b\"}[10m])\n";

    fn set(loki: &str, rules: &str) -> (tempfile::TempDir, ConfigSet) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        write("loki/rules/fake/logs.yml", rules);
        write("prometheus/r.yml", "groups: [{name: g, rules: [{alert: Up, expr: up == 0}]}]\n");
        let paths = ConfigPaths {
            prometheus: write("prometheus/p.yml", "rule_files: [r.yml]\n"),
            loki: Some(write("loki/loki.yml", loki)),
            ..ConfigPaths::default()
        };
        let set = read(&paths).unwrap();
        (folder, set)
    }

    fn text_of<'a>(rendered: &'a Rendered, path: &str) -> &'a str {
        &rendered.files.iter().find(|file| file.relative == Path::new(path)).unwrap().text
    }

    #[test]
    fn the_rules_of_the_ruler_are_scaled_like_those_of_prometheus() {
        let (_folder, set) = set(LOKI, RULES);
        assert_eq!(set.evaluator("Errors"), Evaluator::Ruler);
        assert_eq!((set.evaluator("Up"), set.evaluator("Nobody")), (Evaluator::Prometheus, Evaluator::Prometheus));
        let rendered = plan(&set, Scale::new(60.0).unwrap()).unwrap();
        let rules = text_of(&rendered, "loki/rules/fake/logs.yml");
        let expected =
            RULES.replace("interval: 1m", "interval: 1s").replace("}[5m]))", "}[5s]))").replace("for: 5m", "for: 5s");
        assert_eq!(rules, expected.replace("}[10m]", "}[10s]"));
        let loki = text_of(&rendered, "loki/loki.yml");
        assert!(loki.contains("evaluation_interval: 500ms # often\n") && loki.contains("resend_delay: 3s"), "{loki}");
        let ruler = rendered.config.ruler.unwrap();
        let (group, alert) = ruler.alerts().next().unwrap();
        assert_eq!((ruler.interval_of(group), alert.hold), (Duration::from_secs(1), Duration::from_secs(5)));
        assert_eq!((ruler.window("Errors"), group.file.as_str()), (Duration::from_secs(5), "logs.yml"));
    }

    #[test]
    fn in_real_time_no_byte_changes() {
        let (_folder, set) = set(LOKI, RULES);
        let rendered = plan(&set, Scale::ONE).unwrap();
        assert_eq!(text_of(&rendered, "loki/loki.yml"), LOKI);
        assert_eq!(text_of(&rendered, "loki/rules/fake/logs.yml"), RULES);
        assert_eq!(rendered.log_rules, [Path::new("loki/rules/fake/logs.yml")]);
    }

    #[test]
    fn a_window_that_cannot_be_divided_and_an_interval_that_gets_too_short_are_refused() {
        let (_folder, odd) = set(LOKI, &RULES.replace("}[5m]))", "}[5m] offset 1.5h))"));
        let refused = plan(&odd, Scale::new(60.0).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("windows of this expression"), "{refused}");
        let (_folder, quick) = set(LOKI, &RULES.replace("interval: 1m", "interval: 5s"));
        let refused = plan(&quick, Scale::new(60.0).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("logs.yml:3"), "{refused}");
    }

    #[test]
    fn an_alert_that_two_evaluators_make_is_ambiguous() {
        let (_folder, twice) = set(LOKI, &RULES.replace("alert: Errors", "alert: Up"));
        assert_eq!(twice.ambiguous().map(|(alert, at)| (alert, at.line)), Some(("Up", 5)));
        let (_folder, once) = set(LOKI, RULES);
        assert!(once.ambiguous().is_none());
    }

    #[test]
    fn a_loki_without_a_folder_of_rules_has_no_ruler() {
        let (_folder, set) = set("auth_enabled: false\n", RULES);
        assert!(set.ruler.is_none());
        assert!(plan(&set, Scale::new(60.0).unwrap()).unwrap().loki.is_none());
    }
}
