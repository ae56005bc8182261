//! Whole configurations rendered for a run: scaled, readdressed, without a secret.

use std::path::Path;
use std::time::Duration;

use super::super::source::from_text;
use super::*;

const PROMETHEUS: &str = r#"# how we scrape
global:
  scrape_interval: 15s # four a minute
  scrape_timeout: 10s
  external_labels: {cluster: 'eu'}

rule_files:
  - rules/*.yml

alerting:
  alertmanagers:
    - static_configs:
        - targets: ["alertmanager:9093"]

scrape_configs:
  - job_name: inventory
    static_configs:
      - targets: ['inventory-service:9180']   # admin
  - job_name: stack
    scrape_interval: 30s
    relabel_configs:
      - source_labels: [__address__]
        target_label: host
    static_configs:
      - targets: [prometheus:9090, alertmanager:9093]
remote_write:
  - url: https://metrics.example.com/push
"#;

const RULES: &str = r#"groups:
  - name: inventory
    rules:
      # pint disable promql/rate
      - record: job:errors:ratio5m
        expr: sum(rate(e[5m])) / sum(rate(r[5m]))
      - &burst
        alert: Errors
        expr: |
          # five minutes
          job:errors:ratio5m
            > 0.05
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: "for more than 5m [5m]"
      - <<: *burst
        alert: ErrorsWarn
        labels: {severity: warning}
      - alert: Slow
        expr: "histogram_quantile(0.95, sum by (le) (rate(d_bucket{r=~\".+\"}[5m] offset 1m))) > 0.5"
        for: 10s
"#;

const MANAGER: &str = r##"global:
  resolve_timeout: 5m
  slack_api_url: https://hooks.slack.com/services/SECRET
  smtp_smarthost: smtp.example.com:587
  smtp_from: alerts@example.com
  smtp_auth_password: hunter2
route:
  receiver: chat
  group_by: [alertname]
  routes:
    - matchers: [severity="critical"]
      receiver: pager
      group_wait: 10s
    - receiver: mail
      match: {severity: warning}
receivers:
  - name: chat
    slack_configs:
      - channel: '#alerts'
        title_link: https://grafana.example.com/d/x
  - name: pager
    pagerduty_configs:
      - service_key: OLD
        http_config:
          proxy_url: http://proxy.example.com:3128
    webhook_configs:
      - url: https://dead.example.com/beat?token=SECRET
        send_resolved: false
  - name: mail
    email_configs:
      - to: team@example.com
"##;

fn set() -> ConfigSet {
    let file = |path: &str, text: &str| from_text(Path::new(path), text.to_owned()).unwrap();
    let rules = vec![file("rules/inventory.yml", RULES)];
    config::parse(file("prometheus.yml", PROMETHEUS), rules, Some(file("alertmanager.yml", MANAGER)), Vec::new())
        .unwrap()
}

fn addresses() -> BTreeMap<String, String> {
    [
        ("inventory-service:9180", "127.0.0.1:41001"),
        ("prometheus:9090", "127.0.0.1:41002"),
        ("alertmanager:9093", "127.0.0.1:41003"),
    ]
    .map(|(written, actual)| (written.to_owned(), actual.to_owned()))
    .into()
}

fn inbox(slot: &Slot) -> String {
    match slot.shape {
        Shape::Email => "127.0.0.1:2525".to_owned(),
        _ => format!("http://127.0.0.1:8025/{}/{}/{}", slot.receiver, slot.kind, slot.index),
    }
}

fn rendered(scale: f64, shapes: &[Shape]) -> Rendered {
    let shapes = shapes.iter().copied().collect();
    let addresses = addresses();
    let receivers = Receivers::Redirected { shapes: &shapes, inbox: &inbox };
    let request = RenderRequest {
        scale: Scale::new(scale).unwrap(),
        addresses: Addresses::Mapped(&addresses, &BTreeSet::new()),
        receivers,
    };
    render(&set(), &request).unwrap()
}

fn text<'a>(rendered: &'a Rendered, path: &str) -> &'a str {
    &rendered.files.iter().find(|file| file.relative == Path::new(path)).unwrap().text
}

fn changed(diff: &str) -> Vec<&str> {
    let lines = diff.lines().filter(|line| !line.starts_with("---") && !line.starts_with("+++"));
    lines.filter(|line| line.starts_with(['-', '+'])).collect()
}

#[test]
fn the_identity_is_byte_identical_when_nothing_moves() {
    let found = plan(&set(), Scale::ONE).unwrap();
    assert_eq!(text(&found, "prometheus.yml"), PROMETHEUS);
    assert_eq!(text(&found, "rules/inventory.yml"), RULES);
    assert_eq!(text(&found, "alertmanager.yml"), MANAGER);
    assert!(found.files.iter().all(|file| file.diff.is_empty()) && found.caveats.is_empty());
}

#[test]
fn at_scale_one_rules_stay_and_only_addresses_change() {
    let found = rendered(1.0, &[]);
    assert_eq!(text(&found, "rules/inventory.yml"), RULES);
    assert!(text(&found, "prometheus.yml").contains("scrape_interval: 15s # four a minute\n  scrape_timeout: 10s\n"));
    assert_eq!(found.config.alertmanager.unwrap().route.target.group_wait, Duration::from_secs(30));
}

#[test]
fn rules_are_scaled_in_place_with_comments_anchors_and_annotations_kept() {
    let found = rendered(60.0, &[]);
    let diff = &found.files.iter().find(|file| file.relative == Path::new("rules/inventory.yml")).unwrap().diff;
    assert_eq!(
        changed(diff),
        [
            "-        expr: sum(rate(e[5m])) / sum(rate(r[5m]))",
            "+        expr: sum(rate(e[5s])) / sum(rate(r[5s]))",
            "-        for: 5m",
            "+        for: 5s",
            "-        expr: \"histogram_quantile(0.95, sum by (le) (rate(d_bucket{r=~\\\".+\\\"}[5m] offset 1m))) > 0.5\"",
            "-        for: 10s",
            "+        expr: \"histogram_quantile(0.95, sum by (le) (rate(d_bucket{r=~\\\".+\\\"}[5s] offset 1s))) > 0.5\"",
            "+        for: 167ms",
        ]
    );
    let warn = found.config.prometheus.alerts_named("ErrorsWarn")[0].1;
    assert_eq!((warn.hold, warn.labels["severity"].as_str()), (Duration::from_secs(5), "warning"));
    let note = found.caveats.iter().find(|caveat| caveat.subject == "Slow").unwrap();
    assert!(
        note.message.contains("`for: 10s` is no whole number of evaluations of 1m: it takes 1m"),
        "{}",
        note.message
    );
}

#[test]
fn prometheus_gets_intervals_addresses_and_nothing_else() {
    let found = rendered(60.0, &[]);
    let diff = &found.files.iter().find(|file| file.relative == Path::new("prometheus.yml")).unwrap().diff;
    assert_eq!(
        changed(diff),
        [
            "-  scrape_interval: 15s # four a minute",
            "-  scrape_timeout: 10s",
            "+  scrape_interval: 250ms # four a minute",
            "+  scrape_timeout: 250ms",
            "+  evaluation_interval: 1s",
            "-        - targets: [\"alertmanager:9093\"]",
            "+        - targets: [\"127.0.0.1:41003\"]",
            "+    relabel_configs:",
            "+      - {source_labels: [__address__, instance], regex: 'inventory-service:9180;', target_label: instance, replacement: 'inventory-service:9180'}",
            "+      - {source_labels: [__address__], regex: 'inventory-service:9180', target_label: __address__, replacement: '127.0.0.1:41001'}",
            "-    scrape_interval: 30s",
            "+    scrape_interval: 500ms",
            "+      - {source_labels: [__address__, instance], regex: 'alertmanager:9093;', target_label: instance, replacement: 'alertmanager:9093'}",
            "+      - {source_labels: [__address__], regex: 'alertmanager:9093', target_label: __address__, replacement: '127.0.0.1:41003'}",
            "+      - {source_labels: [__address__, instance], regex: 'prometheus:9090;', target_label: instance, replacement: 'prometheus:9090'}",
            "+      - {source_labels: [__address__], regex: 'prometheus:9090', target_label: __address__, replacement: '127.0.0.1:41002'}",
            "-remote_write:",
            "-  - url: https://metrics.example.com/…",
        ]
    );
}

#[test]
fn receivers_become_local_webhooks_with_their_own_send_resolved_t42() {
    let found = rendered(60.0, &[]);
    let manager = text(&found, "alertmanager.yml");
    for secret in ["SECRET", "hunter2", "smtp.example.com", "OLD", "proxy", "dead.example"] {
        assert!(!manager.contains(secret), "{secret} is left in\n{manager}");
    }
    let diff = &found.files.iter().find(|file| file.relative == Path::new("alertmanager.yml")).unwrap().diff;
    for secret in ["SECRET", "hunter2", "OLD"] {
        assert!(!diff.contains(secret), "{secret} is shown in\n{diff}");
    }
    let config = found.config.alertmanager.unwrap();
    let resolved = |name: &str| {
        config.receiver(name).unwrap().integrations.iter().map(|entry| entry.send_resolved).collect::<Vec<_>>()
    };
    assert_eq!(resolved("chat"), [false]);
    assert_eq!(resolved("pager"), [false, true]);
    assert_eq!(resolved("mail"), [false]);
    let route = &config.route.target;
    assert_eq!((route.group_wait, route.group_interval), (Duration::from_millis(500), Duration::from_secs(5)));
    assert_eq!(route.repeat_interval, Duration::from_mins(4));
    assert_eq!(config.route.routes[0].target.group_wait, Duration::from_millis(167));
    assert_eq!(found.slots.len(), 4);
}

#[test]
fn kinds_with_an_inbox_of_their_own_keep_their_format() {
    let found = rendered(60.0, &[Shape::Slack, Shape::Email, Shape::PagerDuty]);
    let manager = text(&found, "alertmanager.yml");
    for line in [
        "        api_url: 'http://127.0.0.1:8025/chat/slack/0'",
        "        title_link: https://grafana.example.com/d/x",
        "        smarthost: '127.0.0.1:2525'",
        "        require_tls: false",
        "      - {url: 'http://127.0.0.1:8025/pager/pagerduty/0', send_resolved: true}",
        "      - url: http://127.0.0.1:8025/pager/webhook/0",
        "  smtp_from: alerts@example.com",
    ] {
        assert!(manager.lines().any(|found| found == line), "{line} is missing in\n{manager}");
    }
    let shapes: Vec<Shape> = found.slots.iter().map(|(slot, _)| slot.shape).collect();
    assert_eq!(shapes, [Shape::Slack, Shape::Webhook, Shape::Webhook, Shape::Email]);
}

#[test]
fn an_address_outside_of_this_machine_stops_the_rendering() {
    let shared = "x: &c {http_config: {proxy_url: 'http://proxy.example.com'}}\nroute: {receiver: a}\nreceivers:\n  - name: a\n    webhook_configs:\n      - {<<: *c, url: 'https://x.example.com'}\n";
    let mut set = set();
    set.alertmanager = Some(
        super::super::alertmanager::parse(from_text(Path::new("am.yml"), shared.to_owned()).unwrap(), Vec::new())
            .unwrap(),
    );
    let (shapes, addresses) = (BTreeSet::new(), addresses());
    let receivers = Receivers::Redirected { shapes: &shapes, inbox: &inbox };
    let request =
        RenderRequest { scale: Scale::ONE, addresses: Addresses::Mapped(&addresses, &BTreeSet::new()), receivers };
    let Err(RenderError::Refused(problems)) = render(&set, &request) else { panic!("it must be refused") };
    assert!(problems[0].message.contains("proxy.example.com"), "{problems:?}");
}

#[test]
fn a_scale_that_leaves_the_grid_is_refused_with_the_largest_that_fits() {
    let Err(RenderError::Refused(problems)) = plan(&set(), Scale::new(100.0).unwrap()) else {
        panic!("it must be refused")
    };
    assert_eq!((problems[0].file.as_str(), problems[0].line), ("prometheus.yml", 3));
    assert!(problems[0].message.contains("150.0 ms, below the 250 ms"), "{}", problems[0]);
    assert!(problems[0].help.contains("at most 60"), "{}", problems[0]);
    let Err(RenderError::Refused(problems)) = plan(&set(), Scale::new(7.0).unwrap()) else {
        panic!("it must be refused")
    };
    assert!(problems[0].message.contains("no whole number of milliseconds"), "{}", problems[0]);
}

#[test]
fn an_unknown_target_and_a_discovery_are_refused_with_their_lines() {
    let text = "scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: [elsewhere:80]\n  - job_name: b\n    kubernetes_sd_configs: [{role: pod}]\n";
    let mut set = set();
    set.prometheus =
        config::parse(from_text(Path::new("p.yml"), text.to_owned()).unwrap(), Vec::new(), None, Vec::new())
            .unwrap()
            .prometheus;
    let addresses = addresses();
    let request = RenderRequest {
        scale: Scale::ONE,
        addresses: Addresses::Mapped(&addresses, &BTreeSet::new()),
        receivers: Receivers::AsWritten,
    };
    let Err(RenderError::Refused(problems)) = render(&set, &request) else { panic!("it must be refused") };
    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [4, 6]);
    assert!(problems[0].help.contains("inventory-service:9180"));
}

#[test]
fn a_prometheus_rule_resource_becomes_a_plain_rule_file() {
    let resource = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\nspec:\n  groups:\n    - name: g\n      rules:\n        - alert: A\n          expr: up == 0\n          for: 1m\n";
    let mut set = set();
    let file = from_text(Path::new("rules/cr.yml"), resource.to_owned()).unwrap();
    set.prometheus = config::parse(set.prometheus.file.clone(), vec![file], None, Vec::new()).unwrap().prometheus;
    let found = plan(&set, Scale::new(60.0).unwrap()).unwrap();
    let expected =
        "groups:\n    - name: g\n      rules:\n        - alert: A\n          expr: up == 0\n          for: 1s\n";
    assert_eq!(text(&found, "rules/cr.yml"), expected);
}

#[test]
fn receivers_that_share_an_alias_get_inboxes_of_their_own() {
    let shared = "route: {receiver: a}\nreceivers:\n  - name: a\n    webhook_configs: &hook\n      - url: https://x.example.com\n        max_alerts: 2\n  - name: b\n    webhook_configs: *hook\n";
    let mut set = set();
    let file = from_text(Path::new("am.yml"), shared.to_owned()).unwrap();
    set.alertmanager = Some(super::super::alertmanager::parse(file, Vec::new()).unwrap());
    let (shapes, addresses) = (BTreeSet::new(), addresses());
    let receivers = Receivers::Redirected { shapes: &shapes, inbox: &inbox };
    let found = render(
        &set,
        &RenderRequest { scale: Scale::ONE, addresses: Addresses::Mapped(&addresses, &BTreeSet::new()), receivers },
    )
    .unwrap();
    let expected = "route: {receiver: a}\nreceivers:\n  - name: a\n    webhook_configs: &hook\n      - url: http://127.0.0.1:8025/a/webhook/0\n        max_alerts: 2\n  - name: b\n    webhook_configs:\n      - {url: 'http://127.0.0.1:8025/b/webhook/0', send_resolved: true, max_alerts: 2}\n";
    assert_eq!(text(&found, "am.yml"), expected);
}

#[test]
fn defaults_are_written_out_wherever_global_stands_or_is_missing() {
    for (text, expected) in [
        ("global: {scrape_interval: 15s}\n", "global: {evaluation_interval: 1s, scrape_interval: 250ms}\n"),
        (
            "global:\nscrape_configs: []\n",
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs: []\n",
        ),
        (
            "# top\nscrape_configs: []\n",
            "# top\nglobal: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs: []\n",
        ),
        ("global: {}\n", "global: {scrape_interval: 1s, evaluation_interval: 1s, }\n"),
    ] {
        let file = from_text(Path::new("p.yml"), text.to_owned()).unwrap();
        let found =
            plan(&config::parse(file, Vec::new(), None, Vec::new()).unwrap(), Scale::new(60.0).unwrap()).unwrap();
        let lines = |text: &str| {
            text.replace("evaluation_interval: 1s, scrape_interval: 1s", "scrape_interval: 1s, evaluation_interval: 1s")
        };
        assert_eq!(lines(&found.files[0].text), expected);
        assert_eq!(found.config.prometheus.evaluation_interval, Duration::from_secs(1));
    }
}

#[test]
fn a_target_that_this_run_goes_without_is_left_out_and_said() {
    let text = "scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets:\n        - inventory-service:9180\n        - 'node:9100'\n        labels: {x: y}\n  - job_name: b\n    static_configs: [{targets: [node:9100]}]\n  - job_name: probe\n    static_configs:\n      - targets: [\"http://inventory-service:9180/x\"]\n    relabel_configs:\n      - target_label: __address__\n        replacement: blackbox:9115\n  - job_name: probed\n    static_configs: [{targets: ['http://node:9100/']}]\n";
    let file = from_text(Path::new("p.yml"), text.to_owned()).unwrap();
    let mut set = set();
    set.prometheus = config::parse(file, Vec::new(), None, Vec::new()).unwrap().prometheus;
    let (addresses, absent) = (addresses(), BTreeSet::from(["node:9100".to_owned(), "blackbox:9115".to_owned()]));
    let addresses_of = Addresses::Mapped(&addresses, &absent);
    let request = RenderRequest { scale: Scale::ONE, addresses: addresses_of, receivers: Receivers::AsWritten };
    let found = render(&set, &request).unwrap();
    let targets: Vec<Vec<String>> = found.config.prometheus.jobs.iter().map(|job| job.targets.clone()).collect();
    let none: Vec<String> = Vec::new();
    assert_eq!(targets, [vec!["inventory-service:9180".to_owned()], none.clone(), none.clone(), none]);
    let left_out: Vec<String> = found.caveats.iter().map(ToString::to_string).collect();
    for (job, target) in
        [("a", "node:9100"), ("b", "node:9100"), ("probe", "blackbox:9115"), ("probed", "http://node:9100/")]
    {
        let said = format!("{job}: `{target}` is not scraped");
        assert!(left_out.iter().any(|caveat| caveat.starts_with(&said)), "{said}: {left_out:#?}");
    }
}

#[test]
fn targets_in_files_are_found_scaled_and_reached() {
    let written = "scrape_configs:\n  - job_name: a\n    file_sd_configs:\n      - files: [/etc/prometheus/targets/*.yml]\n        refresh_interval: 5m\n";
    let group = "- targets: [inventory-service:9180, 'node:9100']\n  labels: {rack: one}\n";
    let mut set = set();
    set.prometheus =
        config::parse(from_text(Path::new("p.yml"), written.to_owned()).unwrap(), Vec::new(), None, Vec::new())
            .unwrap()
            .prometheus;
    let file = |name: &str| from_text(Path::new(name), group.to_owned()).unwrap();
    set.prometheus.add_target_files(vec![file("targets/a.yml"), file("other/b.yml")]).unwrap();
    assert_eq!(set.prometheus.jobs[0].targets, ["inventory-service:9180", "node:9100"]);
    assert!(set.prometheus.jobs[0].discovery.is_empty());
    let (addresses, absent) = (addresses(), BTreeSet::from(["node:9100".to_owned()]));
    let addresses_of = Addresses::Mapped(&addresses, &absent);
    let scale = Scale::new(60.0).unwrap();
    let request = RenderRequest { scale, addresses: addresses_of, receivers: Receivers::AsWritten };
    let found = render(&set, &request).unwrap();
    assert_eq!(found.config.prometheus.jobs[0].targets, ["inventory-service:9180"]);
    let prometheus = text(&found, "p.yml");
    assert!(prometheus.contains("refresh_interval: 5s"), "{prometheus}");
    assert!(prometheus.contains("files: [targets/*.yml]"), "{prometheus}");
    assert!(prometheus.contains("regex: 'inventory-service:9180'"), "{prometheus}");
    assert_eq!(text(&found, "targets/a.yml"), "- targets: [inventory-service:9180]\n  labels: {rack: one}\n");
}

#[test]
fn a_file_of_targets_that_is_no_list_is_an_error_with_its_line() {
    let file = from_text(Path::new("targets/a.yml"), "targets: [a:1]\n".to_owned()).unwrap();
    let error = set().prometheus.add_target_files(vec![file]).unwrap_err();
    assert!(error.to_string().starts_with("targets/a.yml:1:1: a file of targets is a list"), "{error}");
}

#[test]
fn certificates_and_passwords_stay_where_they_are() {
    let written = "alerting:\n  alertmanagers:\n    - scheme: https\n      tls_config: {ca_file: ../tls/ca.pem}\n      basic_auth:\n        username: a\n        password_file: /run/secrets/p\n      static_configs: [{targets: [alertmanager:9093]}]\nscrape_configs: []\n";
    let file = from_text(Path::new("/etc/stack/prometheus/p.yml"), written.to_owned()).unwrap();
    let mut set = set();
    set.prometheus = config::parse(file, Vec::new(), None, Vec::new()).unwrap().prometheus;
    let (addresses, absent) = (addresses(), BTreeSet::new());
    let addresses_of = Addresses::Mapped(&addresses, &absent);
    let request = RenderRequest { scale: Scale::ONE, addresses: addresses_of, receivers: Receivers::AsWritten };
    let found = render(&set, &request).unwrap();
    assert!(found.files[0].text.contains("ca_file: /etc/stack/prometheus/../tls/ca.pem}"), "{}", found.files[0].text);
    assert!(found.files[0].text.contains("password_file: /run/secrets/p\n"), "{}", found.files[0].text);
}

#[test]
fn a_server_behind_tls_is_asked_for_under_the_name_in_its_certificate() {
    let rendered = |job: &str| {
        let written = format!(
            "alerting:\n  alertmanagers:\n    - scheme: https\n      static_configs: [{{targets: [alertmanager:9093]}}]\nscrape_configs:\n  - job_name: inventory\n{job}    static_configs: [{{targets: [inventory-service:9180]}}]\n"
        );
        let file = from_text(Path::new("p.yml"), written).unwrap();
        let mut set = set();
        set.prometheus = config::parse(file, Vec::new(), None, Vec::new()).unwrap().prometheus;
        let (addresses, absent) = (addresses(), BTreeSet::new());
        let addresses_of = Addresses::Mapped(&addresses, &absent);
        let request = RenderRequest { scale: Scale::ONE, addresses: addresses_of, receivers: Receivers::AsWritten };
        text(&render(&set, &request).unwrap(), "p.yml").to_owned()
    };
    let secured = rendered("    scheme: https\n    tls_config:\n      ca_file: /ca.pem\n");
    assert!(
        secured.contains("    tls_config:\n      server_name: inventory-service\n      ca_file: /ca.pem\n"),
        "{secured}"
    );
    assert!(secured.contains("      tls_config: {server_name: alertmanager}\n"), "{secured}");
    let brackets = rendered("    scheme: https\n    tls_config: {ca_file: /ca.pem}\n");
    assert!(brackets.contains("tls_config: {server_name: inventory-service, ca_file: /ca.pem}"), "{brackets}");
    let named = rendered("    scheme: https\n    tls_config: {server_name: shop.example.org}\n");
    assert!(named.contains("tls_config: {server_name: shop.example.org}\n"), "{named}");
    assert_eq!(rendered("").matches("server_name").count(), 1, "plain HTTP has no certificate");
}
