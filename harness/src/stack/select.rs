//! Which components run, and in which variant: decided from what is available here and what a scenario requires.
//!
//! Pure; fed by a provider's preparation, read by its allocation.

use std::collections::{BTreeMap, BTreeSet};

use super::spec::{Component, Spec, Template, Variant};

/// How much of a stack is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is required and what that needs; optional components only where required.
    Needed,
    /// Everything that is available.
    Whole,
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The components, by name, each with the variant it runs in, if any.
    pub components: BTreeMap<String, Option<String>>,
}

/// Why a stack cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run component `{component}` here: {reason}")]
pub struct Unavailable {
    /// The component.
    pub component: String,
    /// Why it cannot run, and what to try.
    pub reason: String,
}

/// Chooses components and variants.
///
/// A component that some variant can do without is *droppable*: it runs when it and everything that goes with it is
/// available, and has to run when it is required. The first variant (by name) that drops what cannot run is used.
///
/// # Errors
/// The first component that has to run and cannot.
pub fn select(
    spec: &Spec,
    missing: &BTreeMap<String, String>,
    required: &BTreeSet<String>,
    extent: Extent,
) -> Result<Selection, Unavailable> {
    let unavailable =
        |component: &str, reason: &str| Unavailable { component: component.to_owned(), reason: reason.to_owned() };
    for name in required {
        if !spec.components.contains_key(name) {
            return Err(unavailable(name, "the stack file does not describe it"));
        }
        if let Some(reason) = missing.get(name) {
            return Err(unavailable(name, reason));
        }
    }
    let mut selection = Selection::default();
    let mut dropped = BTreeSet::new();
    for (name, component) in &spec.components {
        let chosen = variant(component, missing, required);
        dropped.extend(chosen.iter().flat_map(|(_, drops)| drops.clone()));
        selection.components.insert(name.clone(), chosen.map(|(variant, _)| variant.to_owned()));
    }
    dropped.retain(|name| !required.contains(name));
    let runs = |name: &String| match (required.contains(name), spec.components[name].optional) {
        (true, _) => true,
        (false, true) => extent == Extent::Whole && selection.runnable(spec, name, missing, &dropped),
        (false, false) => !dropped.contains(name),
    };
    let chosen: Vec<String> = selection.components.keys().filter(|name| runs(name)).cloned().collect();
    let chosen = with_needs(spec, &selection, chosen);
    selection.components.retain(|name, _| chosen.contains(name));
    let lost = chosen.iter().find_map(|name| missing.get(name).map(|reason| unavailable(name, reason)));
    lost.map_or(Ok(selection), Err)
}

/// The first variant that drops everything that `component` needs and that is missing, and nothing that is required; none
/// when nothing is missing.
fn variant<'a>(
    component: &'a Component,
    missing: &BTreeMap<String, String>,
    required: &BTreeSet<String>,
) -> Option<(&'a str, BTreeSet<String>)> {
    let needs = component.needs.iter().map(toml::Spanned::get_ref);
    let lost: Vec<&String> = needs.filter(|need| missing.contains_key(*need)).collect();
    if lost.is_empty() {
        return None;
    }
    component.variants.iter().find_map(|(name, variant)| {
        let drops: BTreeSet<String> = variant.drops.iter().map(|drop| drop.get_ref().clone()).collect();
        let fits = lost.iter().all(|lost| drops.contains(*lost)) && drops.is_disjoint(required);
        fits.then_some((name.as_str(), drops))
    })
}

/// The components with everything they need.
fn with_needs(spec: &Spec, selection: &Selection, mut open: Vec<String>) -> BTreeSet<String> {
    let mut chosen = BTreeSet::new();
    while let Some(name) = open.pop() {
        open.extend(selection.needs(spec, &name));
        chosen.insert(name);
    }
    chosen
}

/// Droppable components that are not required and that every component that needs one has a variant to go without: what a
/// provider leaves out where it would have to be fetched.
#[must_use]
pub fn spared(spec: &Spec, required: &BTreeSet<String>) -> BTreeSet<String> {
    let droppable = droppable(spec);
    let spared: BTreeMap<String, String> =
        droppable.difference(required).map(|name| (name.clone(), String::new())).collect();
    let needs_one = |component: &&Component| component.needs.iter().any(|need| spared.contains_key(need.get_ref()));
    let runs = |(name, component): &(&String, &Component)| !component.optional || required.contains(*name);
    let mut needing = spec.components.iter().filter(runs).map(|(_, component)| component).filter(needs_one);
    let without = needing.all(|component| variant(component, &spared, required).is_some());
    if without { spared.into_keys().collect() } else { BTreeSet::new() }
}

/// Components that some variant of another component can do without.
#[must_use]
pub fn droppable(spec: &Spec) -> BTreeSet<String> {
    let variants = spec.components.values().flat_map(|component| component.variants.values());
    variants.flat_map(|variant| variant.drops.iter().map(|drop| drop.get_ref().clone())).collect()
}

impl Selection {
    fn runnable(
        &self,
        spec: &Spec,
        name: &str,
        missing: &BTreeMap<String, String>,
        dropped: &BTreeSet<String>,
    ) -> bool {
        let needs = self.needs(spec, name);
        let here = !missing.contains_key(name) && !dropped.contains(name);
        here && needs.iter().all(|need| self.runnable(spec, need, missing, dropped))
    }

    /// The variant a component runs in.
    #[must_use]
    pub fn variant<'a>(&self, spec: &'a Spec, component: &str) -> Option<&'a Variant> {
        let name = self.components.get(component)?.as_ref()?;
        spec.components.get(component)?.variants.get(name)
    }

    /// What has to be ready before `component` starts.
    #[must_use]
    pub fn needs(&self, spec: &Spec, component: &str) -> Vec<String> {
        let dropped = |need: &String| {
            self.variant(spec, component).is_some_and(|variant| variant.drops.iter().any(|drop| drop.get_ref() == need))
        };
        let needs = spec.components.get(component).into_iter().flat_map(|c| c.needs.iter().map(toml::Spanned::get_ref));
        needs.filter(|need| !dropped(need)).cloned().collect()
    }

    /// The component's environment, the variant's on top.
    #[must_use]
    pub fn environment<'a>(&self, spec: &'a Spec, component: &str) -> BTreeMap<&'a str, &'a Template> {
        let own = spec.components.get(component).into_iter().flat_map(|c| &c.env);
        let variant = self.variant(spec, component).into_iter().flat_map(|variant| &variant.env);
        own.chain(variant).map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// Components in an order in which each comes after what it needs.
    #[must_use]
    pub fn in_order(&self, spec: &Spec) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        while order.len() < self.components.len() {
            let before = order.len();
            for name in self.components.keys() {
                let met = self.needs(spec, name).iter().all(|need| order.contains(need));
                if met && !order.contains(name) {
                    order.push(name.clone());
                }
            }
            if order.len() == before {
                break; // a circle, which the spec's check refuses
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const STACK: &str = r#"
[service]
component = "app"
base-url = "http://x"
[component.app]
command = ["app"]
needs = ["db", "cache", "logs"]
env = { DB = "db", KEEP = "1" }
variants = { embedded = { env = { DB = "file" }, drops = ["cache", "db"] } }
[component.db]
image = { name = "db" }
[component.cache]
command = ["cache"]
[component.logs]
command = ["logs"]
[component.db-exporter]
command = ["exporter"]
needs = ["db"]
optional = true
[component.node-exporter]
command = ["exporter"]
optional = true
"#;

    fn spec() -> Spec {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.toml");
        std::fs::write(&file, STACK).unwrap();
        Spec::load(Path::new(&file)).unwrap()
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.components.keys().map(String::as_str).collect()
    }

    fn missing(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), "not on PATH".to_owned())).collect()
    }

    fn required(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn where_everything_can_run_nothing_is_dropped() {
        let spec = spec();
        let selection = select(&spec, &missing(&[]), &required(&[]), Extent::Needed).unwrap();
        assert_eq!(names(&selection), ["app", "cache", "db", "logs"]);
        let whole = select(&spec, &missing(&[]), &required(&[]), Extent::Whole).unwrap();
        assert_eq!(names(&whole), ["app", "cache", "db", "db-exporter", "logs", "node-exporter"]);
        assert_eq!(whole.in_order(&spec), ["cache", "db", "db-exporter", "logs", "node-exporter", "app"]);
    }

    #[test]
    fn what_cannot_run_is_dropped_by_a_variant_with_its_company() {
        let spec = spec();
        for lost in [&["db"][..], &["db", "cache"]] {
            let selection = select(&spec, &missing(lost), &required(&[]), Extent::Whole).unwrap();
            assert_eq!(names(&selection), ["app", "logs", "node-exporter"], "{lost:?}");
            assert_eq!(selection.needs(&spec, "app"), ["logs"]);
            assert_eq!(selection.environment(&spec, "app")["DB"].to_string(), "file");
            assert_eq!(selection.environment(&spec, "app")["KEEP"].to_string(), "1");
        }
    }

    #[test]
    fn what_is_required_must_be_there() {
        let spec = spec();
        let refused = select(&spec, &missing(&["db"]), &required(&["db"]), Extent::Needed).unwrap_err();
        assert_eq!(refused.to_string(), "run component `db` here: not on PATH");
        let unknown = select(&spec, &missing(&[]), &required(&["redis"]), Extent::Needed).unwrap_err();
        assert_eq!(unknown.component, "redis");
    }

    #[test]
    fn a_variant_that_drops_what_is_required_is_not_used() {
        let refused = select(&spec(), &missing(&["cache"]), &required(&["db"]), Extent::Needed).unwrap_err();
        assert_eq!(refused.component, "cache");
    }

    #[test]
    fn what_nobody_requires_is_spared_where_there_is_a_variant_without_it() {
        let spec = spec();
        assert_eq!(spared(&spec, &required(&[])), required(&["cache", "db"]));
        assert_eq!(spared(&spec, &required(&["node-exporter"])), required(&["cache", "db"]));
        assert_eq!(spared(&spec, &required(&["db"])), required(&[]), "no variant has a database and no cache");
        assert_eq!(spared(&spec, &required(&["cache", "db"])), required(&[]));
    }

    #[test]
    fn what_no_variant_drops_must_be_there() {
        let spec = spec();
        let refused = select(&spec, &missing(&["logs"]), &required(&[]), Extent::Needed).unwrap_err();
        assert_eq!(refused.component, "logs");
    }

    #[test]
    fn a_required_optional_component_runs() {
        let spec = spec();
        let selection = select(&spec, &missing(&[]), &required(&["node-exporter"]), Extent::Needed).unwrap();
        assert!(selection.components.contains_key("node-exporter"));
        assert!(!selection.components.contains_key("db-exporter"));
    }
}
