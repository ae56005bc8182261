//! The container engine: whether it answers, what it can do, where its images would come from.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;

use super::{Finding, GIB, Grade, size};
use crate::clock::wall;
use crate::stack::docker::about::About;
use crate::stack::docker::image::survey::registry;
use crate::stack::docker::{Engine, EngineError};
use crate::stack::spec::Spec;

/// What the engine is called in the list.
pub(super) const SUBJECT: &str = "container engine";
/// The oldest API that the provider was tried with: Engine 20.10.
const OLDEST: (u32, u32) = (1, 41);
/// How far the engine's clock may be off before timestamps mislead, in microseconds.
const SKEW: i64 = 2_000_000;

/// Everything about the engine, and with a stack file about the registries its images are in.
pub(super) async fn examine(spec: Option<&Spec>) -> Vec<Finding> {
    let engine = match Engine::connect().await {
        Ok(engine) => engine,
        Err(error) => return vec![unreachable(&error)],
    };
    let about = match engine.about().await {
        Ok(about) => about,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut findings = vec![version(&about), clock(&about), storage(&about)];
    if let Some(spec) = spec {
        findings.extend(registries(&engine, spec).await);
    }
    findings
}

fn unreachable(error: &EngineError) -> Finding {
    let costs = "no containers: the stack runs as local processes, without PostgreSQL and Redis, and has no limits";
    let words = error.to_string();
    let remedy = if words.to_lowercase().contains("permission denied") {
        "add yourself to the group of the socket (often `docker`) and log in again"
    } else {
        "install a container engine (Debian: apt-get install docker.io), or set DOCKER_HOST=unix:///path"
    };
    let found = words.split("; `harness doctor`").next().unwrap_or(&words).to_owned();
    Finding::bad(SUBJECT, Grade::Missing, found, costs, remedy)
}

fn version(about: &About) -> Finding {
    let found = format!("{}, API {}, cgroup {}", about.version, about.api, about.control_groups);
    if number(&about.api).is_some_and(|api| api < OLDEST) {
        let costs = "--stack docker is refused or fails in places";
        return Finding::bad(SUBJECT, Grade::Missing, found, costs, "Docker Engine 20.10 or newer (API 1.41)");
    }
    Finding::good(SUBJECT, found)
}

fn number(api: &str) -> Option<(u32, u32)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// An engine in a machine of its own has a clock of its own.
fn clock(about: &About) -> Finding {
    let subject = "engine's clock";
    let Ok(theirs) = about.time.parse::<jiff::Timestamp>() else {
        return Finding::good(subject, "the engine does not tell");
    };
    let skew = theirs.as_microsecond() - wall().0;
    if skew.abs() > SKEW {
        let found = format!("{:.1} s off", std::time::Duration::from_micros(skew.unsigned_abs()).as_secs_f64());
        let costs =
            "samples and log lines carry times that do not fit the harness's, so that what follows what is guessed";
        return Finding::bad(subject, Grade::Missing, found, costs, "synchronise it, or restart the engine's machine");
    }
    Finding::good(subject, "agrees with this machine's")
}

fn storage(about: &About) -> Finding {
    let (subject, root) = ("engine's storage", about.root.display());
    let Ok(stat) = rustix::fs::statvfs(&about.root) else {
        return Finding::good(subject, format!("{}, {root} on another machine", about.storage));
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{}, {root}, {} free", about.storage, size(free));
    if free < 2 * GIB {
        let costs = "the images of a whole stack take 0.5 GB when made here, and up to 2 GB when pulled";
        return Finding::bad(subject, Grade::Missing, found, costs, "free 2 GiB there (docker system df)");
    }
    Finding::good(subject, found)
}

/// One image of each registry is asked for; all at the same time, since a registry may be silent.
async fn registries(engine: &Engine, spec: &Spec) -> Vec<Finding> {
    let references = spec.components.values().filter_map(|component| component.image.as_ref()?.reference());
    let first: BTreeMap<String, String> =
        references.map(|reference| (registry(&reference).to_owned(), reference)).collect();
    let ask = async |(host, reference): (String, String)| (host, engine.registry_digest(&reference).await.err());
    let (silent, answer): (Vec<_>, Vec<_>) =
        join_all(first.into_iter().map(ask)).await.into_iter().partition(|(_, refusal)| refusal.is_some());
    let mut findings = Vec::new();
    if !answer.is_empty() {
        let hosts: Vec<String> = answer.into_iter().map(|(host, _)| host).collect();
        findings.push(Finding::good("registries", format!("{} answer", hosts.join(", "))));
    }
    if !silent.is_empty() {
        let words =
            silent.iter().map(|(host, refusal)| format!("{host}: {}", last_words(refusal.as_deref().unwrap_or(""))));
        let costs = "official images that are not here are made from Debian packages; Grafana does not run, and the \
                     embedded log store stands in for Loki";
        let remedy = "a network or a proxy for the engine, or `docker load` of images saved elsewhere";
        let found = words.collect::<Vec<_>>().join(", ");
        findings.push(Finding::bad("registries", Grade::Missing, found, costs, remedy));
    }
    findings
}

/// Go's chains of errors end with what went wrong.
fn last_words(message: &str) -> String {
    message.rsplit(": ").next().unwrap_or(message).to_owned()
}

/// Whether Debian's own keys are here, so that images are made of its stable release.
pub(super) fn keys() -> Finding {
    const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    if Path::new(KEYRING).exists() {
        return Finding::good("Debian's keys", "images are made of Debian stable, whatever this machine runs");
    }
    let costs = "images made here hold this machine's own release instead of Debian stable";
    Finding::bad("Debian's keys", Grade::Missing, format!("no {KEYRING}"), costs, "install debian-archive-keyring")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(api: &str, time: &str) -> About {
        let text = |text: &str| text.to_owned();
        let (version, storage, control_groups) = (text("20.10.24"), text("overlay2"), text("v1"));
        About { version, api: text(api), root: "/".into(), storage, control_groups, time: text(time) }
    }

    #[test]
    fn an_old_api_is_told_from_a_new_one_by_number() {
        assert_eq!(version(&about("1.41", "")).grade, Grade::Good);
        assert_eq!(version(&about("1.100", "")).grade, Grade::Good);
        assert_eq!(version(&about("1.9", "")).grade, Grade::Missing);
    }

    #[test]
    fn a_clock_that_is_off_is_seen() {
        let now = jiff::Timestamp::from_microsecond(wall().0).unwrap();
        assert_eq!(clock(&about("1.41", &now.to_string())).grade, Grade::Good);
        let late = jiff::Timestamp::from_microsecond(wall().0 - 5_000_000).unwrap();
        assert_eq!(clock(&about("1.41", &late.to_string())).found, "5.0 s off");
    }

    #[test]
    fn a_socket_without_permission_has_another_remedy_than_none() {
        let denied = unreachable(&EngineError::Unreachable("Permission denied (os error 13)".to_owned()));
        assert!(denied.remedy.contains("group"), "{denied:?}");
        assert!(!denied.found.contains("harness doctor"));
        let none = unreachable(&EngineError::Unreachable("No such file or directory".to_owned()));
        assert!(none.remedy.contains("install"));
    }

    #[test]
    fn the_end_of_a_chain_of_errors_is_what_went_wrong() {
        let message = "Get \"https://quay.io/v2/\": dial tcp: lookup quay.io on 10.0.0.1:53: no such host";
        assert_eq!(last_words(message), "no such host");
    }
}
