//! The manifests as a cluster would read them: every object parsed as its type, nothing in it unknown to that type, and both
//! overlays applied. There is no `kustomize` and no cluster here; what is checked is what both would refuse first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

mod alertmanager_config;
mod objects;
mod operator;

use serde_json::Value;

use crate::objects::{Kustomization, all, check, kustomized, manifests, root};

#[test]
fn every_manifest_is_what_its_type_allows() {
    let mut kinds = std::collections::BTreeMap::new();
    for path in manifests() {
        for object in all(&path) {
            check(&object).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
            *kinds.entry(object["kind"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"] {
        assert!(kinds.contains_key(kind), "there is no {kind} among {kinds:?}");
    }
}

#[test]
fn a_key_that_the_type_does_not_know_is_found() {
    let path = root().join("stack/kubernetes/base/inventory-service.yaml");
    let mut deployment = all(&path).into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    check(&deployment).unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] =
        serde_json::json!({ "periodSeconds": 5 });
    let wrong = check(&deployment).unwrap_err();
    assert!(wrong.contains("/spec/template/spec/containers/0/readynessProbe"), "{wrong}");
    deployment["spec"]["replicas"] = "two".into();
    assert!(check(&deployment).unwrap_err().contains("two"));
}

#[test]
fn overlays_replace_what_is_there_and_stay_what_their_types_allow() {
    for (overlay, replicas, storage) in [("staging", 1, "5Gi"), ("production", 3, "200Gi")] {
        let objects = kustomized(&root().join("stack/kubernetes/overlays").join(overlay));
        for object in &objects {
            check(object).unwrap_or_else(|wrong| panic!("{overlay}: {wrong}"));
        }
        let named = |kind: &str, name: &str| -> &Value {
            let mut found = objects.iter().filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
            let object = found.next().unwrap_or_else(|| panic!("{overlay} has no {kind} {name}"));
            assert!(found.next().is_none(), "{overlay} has {kind} {name} twice");
            object
        };
        assert_eq!(named("Deployment", "inventory-service")["spec"]["replicas"], replicas);
        let claim = &named("StatefulSet", "loki")["spec"]["volumeClaimTemplates"][0];
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], storage);
    }
}

/// The names in a pod's template that lead to other objects, with their kinds.
fn references(object: &Value) -> Vec<(&'static str, &Value)> {
    let pod = &object["spec"]["template"]["spec"];
    let accounts = pod.get("serviceAccountName").map(|name| ("ServiceAccount", name));
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    accounts
        .into_iter()
        .chain(volumes.filter_map(|it| Some(("ConfigMap", it.get("configMap")?.get("name")?))))
        .collect()
}

#[test]
fn what_a_manifest_refers_to_exists() {
    let objects = kustomized(&root().join("stack/kubernetes/overlays/production"));
    let mut seen = 0;
    for (kind, name) in objects.iter().flat_map(references) {
        let found = objects.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == *name);
        assert!(found, "there is no {kind} {name}");
        seen += 1;
    }
    for monitor in objects.iter().filter(|it| it["kind"] == "ServiceMonitor") {
        let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let fits = |service: &&Value| wanted.iter().all(|(key, it)| service["metadata"]["labels"].get(key) == Some(it));
        let services: Vec<&Value> = objects.iter().filter(|it| it["kind"] == "Service").filter(fits).collect();
        for endpoint in monitor["spec"]["endpoints"].as_array().unwrap() {
            let mut ports = services.iter().flat_map(|service| service["spec"]["ports"].as_array().unwrap());
            let found = ports.any(|port| port["name"] == endpoint["port"]);
            assert!(found, "{} finds no Service with a port {}", monitor["metadata"]["name"], endpoint["port"]);
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} references were looked at");
}

#[test]
fn every_file_of_the_base_is_listed() {
    let folder = root().join("stack/kubernetes/base");
    let listed = Kustomization::of(&folder).resources;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name == "kustomization.yaml" || listed.contains(&name), "{name} is in no kustomization");
    }
    assert!(listed.iter().all(|name| folder.join(name).exists()), "{listed:?}");
}
