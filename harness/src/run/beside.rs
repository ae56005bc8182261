//! What the harness itself sets beside the components: its exporter, its log collector; and which names of the configuration
//! lead where in this run, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::stage::Broken;
use crate::outcome::Reason;
use crate::stack::collector::{Collector, Source};
use crate::stack::exporter::Exporter;
use crate::stack::local::{Allocation, Reader, Running};
use crate::stack::spec::Role;

/// Follows the log files of components that the stack file wants collected.
///
/// # Errors
/// When the log store's credentials cannot be read.
pub(super) fn collector(running: &Running) -> Result<Option<Collector>, Broken> {
    let allocation = running.allocation();
    let spec = allocation.prepared().spec();
    let source = |name: &str| {
        let component = spec.components.get(name)?;
        let labels = component.collect.as_ref()?.get_ref().clone();
        Some(Source { path: running.log_of(name, component.logs), labels })
    };
    let sources: Vec<Source> = allocation.components().filter_map(source).collect();
    let store = spec.with_role(Role::Loki).and_then(|(name, _)| Some((name, allocation.address(name, "http")?)));
    let Some((name, address)) = store.filter(|_| !sources.is_empty()) else { return Ok(None) };
    let access = spec.access(name);
    let access = access.map_err(|error| Broken::new(Reason::Provider, format!("failed to {error}")))?;
    Ok(Some(Collector::start(&format!("{}://{address}", access.scheme()), &access, sources)))
}

/// A port for what components use, where the stack file asks for it.
///
/// # Errors
/// When there is none.
pub(super) async fn exporter(allocation: &Allocation) -> Result<Option<Exporter>, Broken> {
    if allocation.prepared().spec().usage.is_none() {
        return Ok(None);
    }
    let bound = Exporter::bind(IpAddr::V4(allocation.harness_address())).await;
    bound.map(Some).map_err(|error| {
        Broken::new(Reason::Provider, format!("failed to find a port for what components use: {error}"))
    })
}

/// Every component's ports as the configuration may write them, by name and by number, and where Prometheus finds them.
pub(super) fn addresses(allocation: &Allocation) -> BTreeMap<String, String> {
    let spec = allocation.prepared().spec();
    let reader = spec.with_role(Role::Prometheus).map_or(Reader::Harness, |(name, _)| Reader::Component(name));
    let mut map = BTreeMap::new();
    for component in allocation.components() {
        let Some(ports) = spec.components.get(component).map(|it| &it.ports) else { continue };
        for (name, number) in ports {
            if let Some(address) = allocation.address_for(reader, component, name) {
                map.insert(format!("{component}:{name}"), address.to_string());
                map.insert(format!("{component}:{number}"), address.to_string());
            }
        }
    }
    map
}

/// The ports of components that the stack file describes and this run goes without, as the configuration may write them.
pub(super) fn absent(allocation: &Allocation) -> BTreeSet<String> {
    let here: BTreeSet<&str> = allocation.components().collect();
    let absent = allocation.prepared().spec().components.iter().filter(|(name, _)| !here.contains(name.as_str()));
    let ports = absent.flat_map(|(component, it)| it.ports.iter().map(move |port| (component, port)));
    ports
        .flat_map(|(component, (name, number))| [format!("{component}:{name}"), format!("{component}:{number}")])
        .collect()
}
