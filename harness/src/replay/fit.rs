//! Which planned rules a replay would get wrong. Pure; used by `rules`.

use std::collections::BTreeSet;

use super::rules::{Kind, Plan, ReplayRule, Unfit};

/// Leaves out what a replay would get wrong: rules that read what is recorded after them in their own group (they see the
/// series as the evaluation before left it), and those that read in a circle.
pub(super) fn leave_out(plan: &mut Plan) {
    loop {
        let wrong = plan.rules.iter().enumerate().find_map(|(index, rule)| {
            let why = unfit(plan, index, rule)?;
            Some((index, why))
        });
        let Some((index, why)) = wrong else { return };
        let rule = plan.rules.remove(index);
        let group = plan.groups[rule.group].name.clone();
        plan.unfit.push(Unfit { name: rule.name, group, why });
    }
}

fn unfit(plan: &Plan, index: usize, rule: &ReplayRule) -> Option<String> {
    let left_out = plan.unfit.iter().find(|unfit| rule.reads.contains(&unfit.name));
    if let Some(left_out) = left_out {
        return Some(format!("it reads `{}`, which is not replayed", left_out.name));
    }
    let later =
        plan.rules.iter().enumerate().skip(index).find(|(_, other)| {
            other.kind == Kind::Record && other.group == rule.group && rule.reads.contains(&other.name)
        });
    if let Some((_, later)) = later {
        return Some(format!("it reads `{}`, which is recorded after it in its own group", later.name));
    }
    (rule.kind == Kind::Record && reaches(plan, &rule.reads, &rule.name))
        .then(|| "it reads in a circle what is made of it".to_owned())
}

/// Whether a series is read, directly or through recorded ones.
fn reaches(plan: &Plan, reads: &BTreeSet<String>, wanted: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = reads.iter().collect();
    while let Some(name) = open.pop() {
        if name == wanted {
            return true;
        }
        if seen.insert(name) {
            open.extend(plan.rules.iter().filter(|rule| rule.name == *name).flat_map(|rule| &rule.reads));
        }
    }
    false
}
