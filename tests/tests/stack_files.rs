//! The files that production loads and drills rewrite: dashboards, rules, runbooks, manifests, links between documents. No
//! server is started; what a server would say is checked by `stack/check-rules`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::plan::scale::promql;
use harness::plan::scale::yaml::{self, Node};
use harness::scenario::model::{Shows, That};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below `folder` whose name ends in `ending`, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there is no {ending} in {folder}");
    found
}

fn documents(path: &Path) -> Vec<Node> {
    yaml::parse(&path.display().to_string(), &read(path)).unwrap_or_else(|error| panic!("{error}"))
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::text).unwrap_or_default()
}

/// Every rule of the Prometheus rule files.
fn rules() -> Vec<Node> {
    let groups = |path: &PathBuf| documents(path)[0].get("groups").unwrap().items().to_vec();
    files("stack/prometheus/rules", ".yml")
        .iter()
        .flat_map(groups)
        .flat_map(|group| group.get("rules").unwrap().items().to_vec())
        .collect()
}

/// Every rule of Loki's ruler.
fn log_rules() -> Vec<Node> {
    let groups = |path: &PathBuf| documents(path)[0].get("groups").unwrap().items().to_vec();
    files("stack/loki/rules", ".yml")
        .iter()
        .flat_map(groups)
        .flat_map(|group| group.get("rules").unwrap().items().to_vec())
        .collect()
}

/// Every rule that Grafana evaluates.
fn managed_rules() -> Vec<Node> {
    let path = root().join("stack/grafana/provisioning/alerting/rules.yml");
    let groups = documents(&path)[0].get("groups").unwrap().items().to_vec();
    groups.iter().flat_map(|group| group.get("rules").unwrap().items().to_vec()).collect()
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let parse = |path: PathBuf| {
        let parsed = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, parsed)
    };
    files("stack/grafana/dashboards", ".json").into_iter().map(parse).collect()
}

/// Panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// Queries by the uid of the data source they ask.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let targets = panels(dashboard).flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| (target["datasource"]["uid"].as_str().unwrap(), target["expr"].as_str().unwrap())).collect()
}

/// A panel's query as Prometheus gets it.
fn interpolated(query: &str) -> String {
    query.replace("$__rate_interval", "1m").replace("$job", "inventory")
}

/// The names of the metrics an expression reads.
fn metrics(expression: &str) -> BTreeSet<String> {
    let parsed = promql::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    promql::selectors(&parsed).into_iter().filter_map(|(selector, _)| selector.name.clone()).collect()
}

/// Whether the service, a recording rule, or somebody else's exporter provides it.
fn exists(metric: &str, names: &str, recorded: &BTreeSet<String>) -> bool {
    const EXPORTERS: [&str; 12] = [
        "up",
        "ALERTS",
        "scrape_",
        "node_",
        "container_",
        "pg_",
        "redis_",
        "probe_",
        "prometheus_",
        "alertmanager_",
        "loki_",
        "process_",
    ];
    let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric);
    let known = |name: &str| names.contains(&format!("\"{name}\" ["));
    known(metric)
        || known(base)
        || recorded.contains(metric)
        || EXPORTERS.iter().any(|prefix| metric.starts_with(prefix))
}

fn recorded() -> BTreeSet<String> {
    rules().iter().map(|rule| text(rule, "record").to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_rule_and_panel_asks_for_metrics_that_exist() {
    let names = read(&root().join("inventory-service/src/telemetry/names.rs"));
    let recorded = recorded();
    let rules = rules();
    let dashboards = dashboards();
    let of_rules = rules.iter().map(|rule| text(rule, "expr").to_owned());
    let asked = dashboards.iter().flat_map(|(_, dashboard)| queries(dashboard));
    let of_panels = asked.filter(|(source, _)| *source == "prometheus").map(|(_, query)| interpolated(query));
    let mut seen = 0;
    for expression in of_rules.chain(of_panels) {
        for metric in metrics(&expression) {
            assert!(exists(&metric, &names, &recorded), "nobody provides `{metric}`, asked for by {expression}");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} metrics were looked at");
}

#[test]
fn every_panel_has_a_unit_and_a_question_for_a_provisioned_source() {
    let sources = &documents(&root().join("stack/grafana/provisioning/datasources/datasources.yml"))[0];
    let uids: BTreeSet<&str> =
        sources.get("datasources").unwrap().items().iter().map(|source| text(source, "uid")).collect();
    for (path, dashboard) in &dashboards() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(dashboard["uid"].as_str(), Some(name.as_str()), "the uid is the file's name");
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: two panels have the id {}", panel["id"]);
        }
        for panel in panels(dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: `{title}` has no unit");
            assert!(
                !panel["description"].as_str().unwrap_or_default().is_empty(),
                "{name}: `{title}` has no description"
            );
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{name}: `{title}` asks nothing");
        }
        for (uid, query) in queries(dashboard) {
            assert!(uids.contains(uid), "{name}: no data source has the uid `{uid}`");
            assert!(!query.is_empty(), "{name}: an empty query");
        }
    }
}

#[test]
fn grafana_finds_its_dashboards_where_its_container_sees_them() {
    let compose = read(&root().join("stack/compose.yaml"));
    assert!(compose.contains("- \"./grafana:/config:ro\""), "the folder lies elsewhere in the container");
    let providers = &documents(&root().join("stack/grafana/provisioning/dashboards/dashboards.yml"))[0];
    for provider in providers.get("providers").unwrap().items() {
        let path = text(provider.get("options").unwrap(), "path");
        let here = root().join("stack/grafana").join(path.strip_prefix("/config/").unwrap());
        assert!(here.join("inventory-service.json").exists(), "no dashboard lies at {path}");
    }
    let settings = read(&root().join("stack/grafana/grafana.ini"));
    assert!(settings.contains("default_home_dashboard_path = /config/dashboards/inventory-service.json\n"));
}

#[test]
fn the_eight_classical_panels_are_there() {
    let dashboards = dashboards();
    let (_, service) = dashboards.iter().find(|(path, _)| path.ends_with("inventory-service.json")).unwrap();
    let titles: Vec<&str> = panels(service).filter_map(|panel| panel["title"].as_str()).collect();
    for wanted in [
        "Total inventory items",
        "Request rate",
        "Error rate",
        "Request latency",
        "Cache performance",
        "CPU usage",
        "Memory usage",
        "Database errors",
    ] {
        assert!(titles.contains(&wanted), "there is no panel `{wanted}`");
    }
    assert!(panels(service).any(|panel| panel["type"] == "logs"), "there is no panel with logs");
}

/// Panels that no drill holds to have data under load, each with the reason.
const UNDRILLED_PANELS: [(&str, &str, &str); 1] =
    [("inventory-dependencies", "Disk space left", "a machine whose only disks are overlays has none to show")];

/// The panels of every dashboard that a shipped scenario expects to show something; no name stands for all of them.
fn drilled_panels() -> Vec<(String, Option<String>)> {
    let mut drilled = Vec::new();
    for path in files("scenarios", ".toml") {
        let loaded = harness::scenario::load(&path).unwrap_or_else(|found| panic!("{}: {found:?}", path.display()));
        for expectation in &loaded.scenario.expect {
            let That::Dashboard(board) = expectation.that.get() else { continue };
            let uid = board.uid.get().clone();
            if board.shows == Shows::Nothing {
                continue;
            }
            let titles = board.panels.iter().map(|title| Some(title.get().clone()));
            let all = board.panels.is_empty().then_some(None);
            drilled.extend(titles.chain(all).map(|title| (uid.clone(), title)));
        }
    }
    drilled
}

#[test]
fn every_panel_has_data_in_a_shipped_drill_or_a_reason_why_not() {
    let drilled = drilled_panels();
    let mut empty = Vec::new();
    let mut excused: BTreeSet<&(&str, &str, &str)> = BTreeSet::new();
    for (path, dashboard) in &dashboards() {
        let uid = path.file_stem().unwrap().to_string_lossy().into_owned();
        for title in panels(dashboard).map(|panel| panel["title"].as_str().unwrap()) {
            let seen = drilled.iter().any(|(of, panel)| *of == uid && panel.as_deref().is_none_or(|it| it == title));
            let reason = UNDRILLED_PANELS.iter().find(|(of, panel, _)| *of == uid && *panel == title);
            excused.extend(reason);
            match (seen, reason) {
                (false, None) => empty.push(format!("{uid}: no scenario expects `{title}` to show anything")),
                (true, Some(_)) => empty.push(format!("{uid}: `{title}` is drilled and excused")),
                _ => {}
            }
        }
    }
    assert_eq!(excused.len(), UNDRILLED_PANELS.len(), "a panel that is excused does not exist");
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}

#[test]
fn every_alert_says_how_bad_whose_and_what_to_do() {
    let mut alerts = BTreeSet::new();
    let (rules, log_rules, managed) = (rules(), log_rules(), managed_rules());
    let named = rules.iter().chain(&log_rules).map(|rule| (rule, text(rule, "alert")));
    let named = named.chain(managed.iter().map(|rule| (rule, text(rule, "title"))));
    for (rule, name) in named.filter(|(_, name)| !name.is_empty()) {
        assert!(alerts.insert(name.to_owned()), "`{name}` stands twice");
        let labels = rule.get("labels").unwrap();
        assert!(
            ["critical", "warning", "info", "none"].contains(&text(labels, "severity")),
            "`{name}` has no severity"
        );
        assert!(["inventory", "platform"].contains(&text(labels, "team")), "`{name}` has no team");
        let annotations = rule.get("annotations").unwrap();
        for key in ["summary", "description"] {
            assert!(!text(annotations, key).is_empty(), "`{name}` has no {key}");
        }
        let page = text(annotations, "runbook_url").rsplit_once("/blob/main/").map(|(_, path)| path.to_owned());
        let page = root().join(page.unwrap_or_else(|| panic!("`{name}` has no runbook")));
        assert!(read(&page).starts_with(&format!("# {name}\n")), "{} is about something else", page.display());
        assert!(read(&page).contains("\n## Drill\n"), "{} does not say what rehearses the alert", page.display());
    }
}

#[test]
fn every_rule_file_has_unit_tests_that_name_each_of_its_alerts() {
    for path in files("stack/prometheus/rules", ".yml") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let tests = read(&root().join(format!("stack/prometheus/tests/{name}_test.yml")));
        let groups = documents(&path)[0].get("groups").unwrap().items().to_vec();
        for rule in groups.iter().flat_map(|group| group.get("rules").unwrap().items()) {
            let alert = text(rule, "alert");
            let fires = tests.split("\n  - name: ").any(|test| test.contains(&format!("alertname: {alert}\n")));
            assert!(alert.is_empty() || fires, "no unit test fires `{alert}`");
        }
    }
}

#[test]
fn grafana_has_no_default_password_and_lets_nobody_in_unseen() {
    let settings = read(&root().join("stack/grafana/grafana.ini"));
    let value = |section: &str, key: &str| {
        let (_, rest) = settings.split_once(&format!("[{section}]\n"))?;
        let own = rest.lines().take_while(|line| !line.starts_with('['));
        own.filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    for (section, key, wanted) in [
        ("auth.anonymous", "enabled", "false"),
        ("users", "allow_sign_up", "false"),
        ("users", "allow_org_create", "false"),
        ("security", "cookie_secure", "true"),
        ("snapshots", "external_enabled", "false"),
    ] {
        assert_eq!(value(section, key), Some(wanted), "[{section}] {key}");
    }
    // Without these Grafana would take `admin` and a key that everybody knows: they come from secrets, everywhere.
    for key in ["admin_password", "secret_key"] {
        assert_eq!(value("security", key), None, "{key} never stands in a file");
    }
    let stack = read(&root().join("stack/stack.toml"));
    for secret in ["GF_SECURITY_ADMIN_PASSWORD = \"{secret:", "GF_SECURITY_SECRET_KEY = \"{secret:"] {
        assert!(stack.contains(secret), "a drill generates {secret}…");
    }
    let chart = &documents(&root().join("stack/kubernetes/kube-prometheus-stack.yaml"))[0];
    let grafana = chart.get("grafana").unwrap();
    assert!(grafana.get("adminPassword").is_none());
    assert!(!text(grafana.get("admin").unwrap(), "existingSecret").is_empty());
}

#[test]
fn examples_of_web_config_ask_for_tls_and_hold_no_secret() {
    for server in ["prometheus", "alertmanager"] {
        let config = &documents(&root().join(format!("stack/{server}/web.config.yml")))[0];
        let tls = config.get("tls_server_config").unwrap();
        assert_eq!(text(tls, "min_version"), "TLS12");
        for (user, hash) in config.get("basic_auth_users").unwrap().entries() {
            assert_eq!(hash.text(), Some("PASSWORD_HASH"), "{:?} of {server} has a hash of its own", user.text());
        }
    }
}

#[test]
fn the_generated_manifests_are_fresh() {
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(root().join("stack/kubernetes/generate")).arg(fresh.path()).status().unwrap();
    assert!(status.success());
    let committed = files("stack/kubernetes/generated", ".yaml");
    for path in &committed {
        let relative = path.strip_prefix(root().join("stack/kubernetes/generated")).unwrap();
        assert!(
            read(path) == read(&fresh.path().join(relative)),
            "{} is stale: run `just kubernetes`",
            relative.display()
        );
    }
}

#[test]
fn every_manifest_is_an_object_whose_selector_finds_its_own_pods() {
    for path in files("stack/kubernetes", ".yaml").iter().filter(|path| !path.ends_with("kube-prometheus-stack.yaml")) {
        for object in documents(path) {
            let what = format!("{} in {}", text(&object, "kind"), path.display());
            assert!(!text(&object, "apiVersion").is_empty() && !text(&object, "kind").is_empty(), "{what}");
            if text(&object, "kind") == "Kustomization" {
                continue;
            }
            assert!(!text(object.get("metadata").unwrap(), "name").is_empty(), "{what} has no name");
            let Some(template) = object.get("spec").and_then(|spec| spec.get("template")) else { continue };
            let wanted = object.get("spec").unwrap().get("selector").unwrap().get("matchLabels").unwrap();
            let labels = template.get("metadata").unwrap().get("labels").unwrap();
            for (key, value) in wanted.entries() {
                assert_eq!(Some(text(labels, key.text().unwrap())), value.text(), "{what}");
            }
            for container in template.get("spec").unwrap().get("containers").unwrap().items() {
                for key in ["resources", "securityContext", "livenessProbe", "readinessProbe"] {
                    assert!(container.get(key).is_some(), "{what}: container {} has no {key}", text(container, "name"));
                }
                let image = text(container, "image");
                assert!(image.contains(':') && !image.ends_with(":latest"), "{what}: `{image}` is not pinned");
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let tops = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let mut checked = 0;
    for path in files("docs", ".md").into_iter().chain(tops) {
        let page = read(&path);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let wanted = path.parent().unwrap().join(target);
            assert!(wanted.exists(), "{} leads to {link}, which does not exist", path.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links were looked at");
}
