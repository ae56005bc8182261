//! Manifests as values: read with YAML's own types, patched as Kustomize would, and held against their types.

use std::path::{Path, PathBuf};

use harness::plan::scale::yaml::{self, Node, Style, Value as Yaml};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operator::{AlertmanagerConfig, Probe, PrometheusRule, ServiceMonitor};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file with objects; the chart's values are no object.
pub(crate) fn manifests() -> Vec<PathBuf> {
    let mut open = vec![root().join("stack/kubernetes")];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") && !path.ends_with("kube-prometheus-stack.yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The objects of a file.
pub(crate) fn all(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::parse(&path.display().to_string(), &text).unwrap().iter().map(value).collect()
}

/// A node with the types of YAML 1.2, as the API server reads it.
pub(crate) fn value(node: &Node) -> Value {
    match &node.value {
        Yaml::Sequence(items, _) => items.iter().map(value).collect(),
        Yaml::Mapping(..) => {
            node.entries().into_iter().map(|(key, item)| (key.text().unwrap().to_owned(), value(item))).collect()
        }
        Yaml::Scalar(_, Style::Plain) if node.is_null() => Value::Null,
        Yaml::Scalar(text, Style::Plain) => match &**text {
            "true" => true.into(),
            "false" => false.into(),
            other => match other.parse::<i64>() {
                // a file mode is written in octal
                Ok(_) if other.len() > 1 && other.starts_with('0') => i64::from_str_radix(other, 8).unwrap().into(),
                Ok(number) => number.into(),
                Err(_) => other.into(),
            },
        },
        Yaml::Scalar(text, _) => text.to_string().into(),
    }
}

/// Whether an object is what its type allows.
pub(crate) fn check(object: &Value) -> Result<(), String> {
    let kind = object["kind"].as_str().ok_or("it has no kind")?;
    match kind {
        "Kustomization" => strict::<Kustomization>(object),
        "ServiceAccount" => strict::<ServiceAccount>(object),
        "Namespace" => strict::<Namespace>(object),
        "ConfigMap" => strict::<ConfigMap>(object),
        "Secret" => strict::<Secret>(object),
        "Service" => strict::<Service>(object),
        "Deployment" => strict::<Deployment>(object),
        "StatefulSet" => strict::<StatefulSet>(object),
        "DaemonSet" => strict::<DaemonSet>(object),
        "ClusterRole" => strict::<ClusterRole>(object),
        "ClusterRoleBinding" => strict::<ClusterRoleBinding>(object),
        "NetworkPolicy" => strict::<NetworkPolicy>(object),
        "PodDisruptionBudget" => strict::<PodDisruptionBudget>(object),
        "HorizontalPodAutoscaler" => strict::<HorizontalPodAutoscaler>(object),
        "ServiceMonitor" => strict::<ServiceMonitor>(object),
        "Probe" => strict::<Probe>(object),
        "PrometheusRule" => strict::<PrometheusRule>(object),
        "AlertmanagerConfig" => strict::<AlertmanagerConfig>(object),
        other => Err(format!("nothing here knows the kind {other}")),
    }
}

/// The API's own types pass over what they do not know, as the API server does by default; so what they have read is written
/// again, and nothing may be lost on the way.
fn strict<T: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&typed).map_err(|error| error.to_string())?;
    match lost(object, &again, "") {
        Some(path) => Err(format!("{} does not know {path}", object["kind"])),
        None => Ok(()),
    }
}

fn lost(written: &Value, read: &Value, path: &str) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}/{key}");
            match read.get(key) {
                Some(found) => lost(value, found, &path),
                // the types leave out what is empty
                None if value.is_null() || *value == serde_json::json!({}) || *value == serde_json::json!([]) => None,
                None => Some(path),
            }
        }),
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            let pairs = written.iter().zip(read).enumerate();
            pairs.into_iter().find_map(|(index, (written, read))| lost(written, read, &format!("{path}/{index}")))
        }
        (written, read) if written == read => None,
        _ => Some(format!("{path} as {written}")),
    }
}

/// What is used of Kustomize.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kustomization {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Value>,
    pub(crate) resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    target: Target,
    patch: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    value: Value,
}

impl Kustomization {
    pub(crate) fn of(folder: &Path) -> Self {
        serde_json::from_value(all(&folder.join("kustomization.yaml")).remove(0)).unwrap()
    }
}

/// What Kustomize would make of a folder, as far as this repository uses it: resources, and patches that replace.
pub(crate) fn kustomized(folder: &Path) -> Vec<Value> {
    let kustomization = Kustomization::of(folder);
    let mut objects = Vec::new();
    for resource in &kustomization.resources {
        let path = folder.join(resource);
        objects.extend(if path.is_dir() { kustomized(&path) } else { all(&path) });
    }
    for patch in &kustomization.patches {
        let wanted = |it: &&mut Value| {
            it["kind"] == patch.target.kind.as_str() && it["metadata"]["name"] == patch.target.name.as_str()
        };
        let targets: Vec<&mut Value> = objects.iter_mut().filter(wanted).collect();
        assert_eq!(targets.len(), 1, "{}: {:?}", folder.display(), patch.target);
        for target in targets {
            for document in yaml::parse("patch", &patch.patch).unwrap() {
                let operations: Vec<Operation> = serde_json::from_value(value(&document)).unwrap();
                for Operation { op, path, value } in operations {
                    assert_eq!(op, "replace", "only this is understood here");
                    let place = target.pointer_mut(&path);
                    *place.unwrap_or_else(|| panic!("{}: there is no {path}", folder.display())) = value;
                }
            }
        }
    }
    objects
}
