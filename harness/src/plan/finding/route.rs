//! Findings about routes and inhibition. Used by `finding`.

use super::{Finding, FindingCode};
use crate::plan::scale::alertmanager::AlertmanagerConfig;
use crate::plan::scale::duration::print;

pub(super) fn findings(config: &AlertmanagerConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    for node in config.route.nodes() {
        let route = &node.target;
        let (repeat, group) = (route.repeat_interval, route.group_interval);
        let inherited = found
            .iter()
            .any(|known: &Finding| known.code == FindingCode::RepeatEqualsGroup && route.path.starts_with("route."));
        if !inherited && (repeat <= group || !repeat.as_nanos().is_multiple_of(group.as_nanos().max(1))) {
            let ticks = repeat.as_nanos().div_ceil(group.as_nanos().max(1));
            let really = group * u32::try_from(ticks).unwrap_or(u32::MAX);
            let message = format!(
                "`repeat_interval: {}` is looked at every {} only: repetitions come after {}{}",
                print(repeat),
                print(group),
                print(really),
                if repeat == group { " or twice that, whichever of the two timers wins" } else { "" }
            );
            found.push(Finding {
                location: route.location.clone(),
                code: FindingCode::RepeatEqualsGroup,
                subject: route.receiver.clone(),
                message,
                help: "make `repeat_interval` a multiple of `group_interval`, larger than it".to_owned(),
            });
        }
    }
    for rule in config.inhibit_rules.iter().filter(|rule| rule.equal.is_empty()) {
        let sources: Vec<String> = rule.source.iter().map(ToString::to_string).collect();
        found.push(Finding {
            location: rule.location.clone(),
            code: FindingCode::InhibitsEverywhere,
            subject: sources.join(", "),
            message: "any alert that matches the source silences every target, whatever its service or cluster"
                .to_owned(),
            help: "name the labels that must be `equal`".to_owned(),
        });
    }
    found
}
