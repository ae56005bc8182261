//! Whether a panel's curves go higher or lower than they ever did in the baseline.

use std::collections::BTreeMap;

use super::{SeenPanel, Shown, Shows, Verdict, shown};
use crate::expect::Labels;
use crate::expect::look::show_labels;
use crate::outcome::Reason;

/// Lowest and highest finite value of each series.
pub(super) fn extremes(shown: &Shown) -> BTreeMap<&Labels, (f64, f64)> {
    let mut extremes = BTreeMap::new();
    for (labels, points) in &shown.series {
        let finite = points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low <= high {
            extremes.insert(labels, (low, high));
        }
    }
    extremes
}

/// A move is one beyond what the baseline's own ups and downs, and a tenth of its height, explain.
const NOISE: f64 = 0.1;

/// Compares each series with itself.
pub(super) fn moves(shows: Shows, panel: &SeenPanel) -> Verdict {
    let mut nearest: Option<String> = None;
    let mut numbers = false;
    for query in &panel.queries {
        let (Some(now), Some(Ok(before))) = (shown(query), &query.before) else { continue };
        let past = extremes(before);
        for (labels, (low, high)) in extremes(now) {
            numbers = true;
            let known = past.get(labels).copied();
            if known.is_none() && shows == Shows::Falls {
                continue;
            }
            // what was not there before rises from nothing
            let (was_low, was_high) = known.unwrap_or((0.0, 0.0));
            let noise = (was_high - was_low).max(NOISE * was_high.abs().max(was_low.abs()));
            let text = format!(
                "{} was {was_low:.4} to {was_high:.4} and is {low:.4} to {high:.4}",
                if labels.is_empty() { query.id.clone() } else { show_labels(labels) }
            );
            let moved = if shows == Shows::Rises { high > was_high + noise } else { low < was_low - noise };
            if moved {
                return Verdict::Good(text);
            }
            nearest.get_or_insert(text);
        }
    }
    match nearest {
        Some(text) => Verdict::Wrong(
            Reason::WrongValue,
            format!("panel `{}` does not {}: {text}", panel.title, shows.word().trim_end_matches('s')),
        ),
        None if numbers => {
            let text = format!("panel `{}` had no data in the baseline to fall from", panel.title);
            Verdict::Open(Reason::NoData, text)
        }
        None => Verdict::Wrong(Reason::PanelNoData, format!("panel `{}` shows no data at all", panel.title)),
    }
}
