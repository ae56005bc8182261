//! What Grafana is provisioned with, read from the files it would read: data sources, dashboards, its own alert rules and
//! where those go. Fed by the stack file's folder, read by the planner and by `lint`; nothing is started for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scale::yaml::{self, Node};
use crate::expect::dashboard::board::{Board, Source, SourceRole, interval};
use crate::expect::managed::{Condition, ManagedRule, Question};
use crate::stack::spec::{Role, Spec};

/// Folders are searched this deep for dashboards.
const DEPTH: usize = 4;

/// Everything that is provisioned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provisioned {
    /// Data sources.
    pub sources: Vec<Source>,
    /// Dashboards that a provider loads, by uid; or why one cannot be read.
    pub boards: BTreeMap<String, Result<Board, String>>,
    /// Titles of the panels of every dashboard in the folder, loaded or not, by uid.
    pub titles: BTreeMap<String, BTreeSet<String>>,
    /// Folders that providers name, as written.
    pub providers: Vec<String>,
    /// Alert rules that Grafana evaluates.
    pub rules: Vec<ManagedRule>,
    /// Receivers that its routes name, and that exist.
    pub receivers: BTreeMap<String, Existence>,
    /// Files that cannot be read, each with its reason.
    pub problems: Vec<String>,
}

/// Whether something that is named is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It is.
    Present,
    /// It is only named.
    Missing,
}

impl Provisioned {
    /// Reads it; empty where the stack has no Grafana with a configuration folder.
    #[must_use]
    pub fn read(spec: &Spec) -> Self {
        let mut provisioned = Self::default();
        let Some((name, component)) = spec.with_role(Role::Grafana) else { return provisioned };
        let Some(config) = &component.config else { return provisioned };
        let folder = spec.folder.join(config.get_ref());
        let inside = component.image.as_ref().and_then(|image| image.config.clone());
        // a container of ours sees it at /config, an installed Grafana in its own folder
        let inside = [inside.unwrap_or_else(|| format!("/etc/{name}")), "/config".to_owned()];
        for document in provisioned.documents(&folder.join("provisioning/datasources")) {
            let sources = document.get("datasources").map(Node::items).unwrap_or_default();
            provisioned.sources.extend(sources.iter().map(source));
        }
        for document in provisioned.documents(&folder.join("provisioning/dashboards")) {
            for provider in document.get("providers").map(Node::items).unwrap_or_default() {
                let written = provider.get("options").map(|options| text(options, "path")).unwrap_or_default();
                let below = inside.iter().find_map(|inside| Path::new(&written).strip_prefix(inside).ok());
                let path = folder.join(below.unwrap_or_else(|| Path::new(written.trim_start_matches('/'))));
                provisioned.providers.push(written);
                provisioned.load(&path);
            }
        }
        for document in provisioned.documents(&folder.join("provisioning/alerting")) {
            provisioned.alerting(&document);
        }
        for (uid, board) in json_files(&folder, DEPTH).iter().filter_map(|path| dashboard(path)) {
            let titles = board.map(|it| it.panels.into_iter().map(|panel| panel.title).collect()).unwrap_or_default();
            provisioned.titles.insert(uid, titles);
        }
        provisioned
    }

    fn documents(&mut self, folder: &Path) -> Vec<Node> {
        let mut documents = Vec::new();
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "yml" || it == "yaml")) {
            let shown = file.display().to_string();
            let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
            match read.and_then(|text| yaml::parse(&shown, &text).map_err(|error| error.to_string())) {
                Ok(found) => documents.extend(found),
                Err(error) => self.problems.push(format!("{shown}: {error}")),
            }
        }
        documents
    }

    fn load(&mut self, folder: &Path) {
        for path in json_files(folder, DEPTH) {
            match dashboard(&path) {
                Some((uid, board)) => drop(self.boards.insert(uid, board)),
                None => self.problems.push(format!("{}: it has no uid", path.display())),
            }
        }
    }

    /// The dashboard with this uid as it is provisioned.
    ///
    /// # Errors
    /// Why there is none.
    pub fn board(&self, uid: &str) -> Result<Board, String> {
        let none = || {
            let exists = if self.titles.contains_key(uid) {
                "its file is there, but no provider loads it"
            } else {
                "no file has this uid"
            };
            Err(format!("{exists}; dashboards are loaded from: {}", self.providers.join(", ")))
        };
        self.boards.get(uid).cloned().unwrap_or_else(none)
    }

    fn alerting(&mut self, document: &Node) {
        let list = |key: &str| document.get(key).map(Node::items).unwrap_or_default();
        for point in list("contactPoints") {
            self.receivers.insert(text(point, "name"), Existence::Present);
        }
        for policy in list("policies") {
            self.name_receivers(policy);
        }
        for group in list("groups") {
            let every = interval(&text(group, "interval")).unwrap_or(Duration::from_secs(60));
            let rules = group.get("rules").map(Node::items).unwrap_or_default();
            self.rules.extend(rules.iter().map(|rule| managed(rule, every)));
        }
    }

    fn name_receivers(&mut self, policy: &Node) {
        let named = text(policy, "receiver");
        if !named.is_empty() {
            self.receivers.entry(named).or_insert(Existence::Missing);
        }
        for inner in policy.get("routes").map(Node::items).unwrap_or_default() {
            self.name_receivers(inner);
        }
    }
}

fn text(node: &Node, key: &str) -> String {
    node.get(key).and_then(Node::text).unwrap_or_default().to_owned()
}

fn source(node: &Node) -> Source {
    let settings = node.get("jsonData");
    Source {
        uid: text(node, "uid"),
        name: text(node, "name"),
        kind: text(node, "type"),
        role: if text(node, "isDefault") == "true" { SourceRole::Default } else { SourceRole::Named },
        scrape: settings.and_then(|settings| interval(&text(settings, "timeInterval"))),
    }
}

/// A dashboard's uid and what is in it; none for JSON that is none.
fn dashboard(path: &Path) -> Option<(String, Result<Board, String>)> {
    let read = std::fs::read_to_string(path).ok()?;
    let model: serde_json::Value = serde_json::from_str(&read).ok()?;
    let uid = model.get("uid")?.as_str().filter(|uid| !uid.is_empty())?.to_owned();
    Some((uid, Board::read(&model).map_err(|error| format!("{}: {error}", path.display()))))
}

fn json_files(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth > 0 => json_files(&path, depth - 1),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|it| it == "json") => vec![path],
                _ => Vec::new(),
            }
        })
        .collect();
    files.sort();
    files
}

fn managed(rule: &Node, every: Duration) -> ManagedRule {
    let mut questions = Vec::new();
    let mut conditions = BTreeMap::new();
    for data in rule.get("data").map(Node::items).unwrap_or_default() {
        let (id, source) = (text(data, "refId"), text(data, "datasourceUid"));
        let Some(model) = data.get("model") else { continue };
        if source == "__expr__" || source == "-100" {
            conditions.insert(id, condition(model));
            continue;
        }
        let from = data.get("relativeTimeRange").and_then(|range| text(range, "from").parse().ok()).unwrap_or(600);
        questions.push(Question { id, source, text: text(model, "expr"), range: Duration::from_secs(from) });
    }
    ManagedRule {
        title: text(rule, "title"),
        condition: text(rule, "condition"),
        hold: interval(&text(rule, "for")).unwrap_or_default(),
        every,
        no_data: text(rule, "noDataState"),
        questions,
        conditions,
    }
}

fn condition(model: &Node) -> Condition {
    let of = text(model, "expression");
    let evaluator = model.get("conditions").and_then(|list| list.items().first()).and_then(|it| it.get("evaluator"));
    let parameters = |evaluator: &Node| -> Vec<f64> {
        let list = evaluator.get("params").map(Node::items).unwrap_or_default();
        list.iter().filter_map(|it| it.text()?.parse().ok()).collect()
    };
    match (text(model, "type").as_str(), evaluator) {
        ("threshold", Some(evaluator)) => {
            Condition::Threshold { of, kind: text(evaluator, "type"), parameters: parameters(evaluator) }
        }
        ("reduce", _) => Condition::Reduce { of },
        (other, _) => Condition::Unsupported(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack with a Grafana whose provider loads `path`.
    fn stand(path: &str) -> (tempfile::TempDir, Provisioned) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write(
            "stack.toml",
            "[service]\ncomponent = \"app\"\nbase-url = \"http://{app:http}\"\n[component.app]\ncommand = [\"app\"]\nports = { http = 1 }\n\
             [component.grafana]\nrole = \"grafana\"\nconfig = \"grafana\"\nimage = { name = \"g\", tag = \"1\" }\nports = { http = 3000 }\noptional = true\n",
        );
        write("grafana/provisioning/dashboards/d.yml", &format!("providers:\n  - options: {{ path: {path} }}\n"));
        write(
            "grafana/provisioning/datasources/s.yml",
            "datasources:\n  - { name: P, uid: p, type: prometheus, isDefault: true, jsonData: { timeInterval: 5s } }\n",
        );
        write(
            "grafana/provisioning/alerting/a.yml",
            "contactPoints:\n  - { name: ops }\npolicies:\n  - receiver: ops\n    routes: [{ receiver: nobody }]\n\
             groups:\n  - interval: 30s\n    rules:\n      - title: Silent\n        condition: B\n        for: 5m\n        noDataState: Alerting\n        data:\n\
             \x20         - { refId: A, datasourceUid: p, relativeTimeRange: { from: 300, to: 0 }, model: { expr: count(up) } }\n\
             \x20         - { refId: B, datasourceUid: __expr__, model: { type: threshold, expression: A, conditions: [{ evaluator: { type: lt, params: [1] } }] } }\n",
        );
        let panel = r#"{"type":"stat","title":"Up","targets":[{"refId":"A","expr":"up"}]}"#;
        write("grafana/dashboards/b.json", &format!(r#"{{"uid":"b","title":"B","panels":[{panel}]}}"#));
        let spec = Spec::load(&folder.path().join("stack.toml")).unwrap();
        let provisioned = Provisioned::read(&spec);
        (folder, provisioned)
    }

    #[test]
    fn a_provider_names_the_folder_as_the_container_sees_it() {
        for path in ["/config/dashboards", "/etc/grafana/dashboards", "dashboards"] {
            let (_folder, provisioned) = stand(path);
            assert_eq!(provisioned.board("b").unwrap().panels[0].title, "Up", "{path}");
            assert_eq!(provisioned.sources[0].scrape, Some(Duration::from_secs(5)));
            assert_eq!(provisioned.problems, Vec::<String>::new());
        }
    }

    #[test]
    fn a_dashboard_that_no_provider_loads_is_known_to_lint_and_missing_in_the_run_s54() {
        let (_folder, provisioned) = stand("/etc/grafana/elsewhere");
        assert!(provisioned.titles["b"].contains("Up"));
        let why = provisioned.board("b").unwrap_err();
        assert_eq!(
            why,
            "its file is there, but no provider loads it; dashboards are loaded from: /etc/grafana/elsewhere"
        );
        assert!(provisioned.board("c").unwrap_err().starts_with("no file has this uid"));
    }

    #[test]
    fn rules_and_receivers_of_grafana_itself_are_read() {
        let (_folder, provisioned) = stand("/etc/grafana/dashboards");
        let rule = &provisioned.rules[0];
        assert_eq!((rule.hold, rule.every), (Duration::from_secs(300), Duration::from_secs(30)));
        assert_eq!((rule.questions[0].text.as_str(), rule.questions[0].range), ("count(up)", Duration::from_secs(300)));
        let threshold = Condition::Threshold { of: "A".into(), kind: "lt".into(), parameters: vec![1.0] };
        assert_eq!(rule.conditions["B"], threshold);
        assert_eq!(provisioned.receivers["ops"], Existence::Present);
        assert_eq!(provisioned.receivers["nobody"], Existence::Missing);
    }
}
