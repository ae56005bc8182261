//! `stack.toml`: what is understood, and where each mistake is reported.

use super::*;

fn parse(text: &str) -> Result<Spec, SpecError> {
    Spec::parse(Path::new("stack.toml"), PathBuf::from("/nowhere/stack"), text.to_owned())
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Err(SpecError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("accepted: {other:?}"),
    }
}

/// The example of the design page, without the config files it names.
const EXAMPLE: &str = r#"
[service]
component = "inventory-service"
base-url  = "http://{inventory-service:http}"
openapi   = "http://{inventory-service:http}/openapi.json"

[signals]
requests  = { metric = "http_requests_total", route = "route", method = "method", status = "status" }
latency   = { metric = "http_request_duration_seconds", route = "route" }
log-line  = { selector = '{service="inventory"}', event = 'event="http_request"', route = "route", status = "status", sequence = "seq" }
target    = { job = "inventory" }

[seed.items]
post  = "/api/items"
json  = { sku = "SKU-{n}", name = "item {n}", quantity = 100000 }
count = 500
key   = "sku"

[component.inventory-service]
build     = ["cargo", "build", "--release", "-p", "inventory-service"]
command   = ["target/release/inventory-service"]
image     = { build = "stack/images/inventory-service" }
ports     = { http = 8080, admin = 9180 }
env       = { LISTEN = "{listen:http}", DATABASE_URL = "postgres://inventory:{secret:db}@{postgres:5432}/inventory" }
needs     = ["postgres"]
ready     = [{ http = "http://{self:admin}/ready", status = 200 }]
logs      = "stdout"
limits    = { cpus = 1.0, memory = "512MiB", pids = 256 }
replicas  = 1
variants  = { embedded = { env = { DATABASE_URL = "sqlite://{data}/inventory.db" }, drops = ["postgres"] } }

[component.inventory-service.switches]
errors = { put = "http://{self:admin}/faults", json = { errors = { share = "{share}", status = "{status}" } }, undo = { delete = "http://{self:admin}/faults" }, probe = { get = "http://{self:admin}/faults" } }

[component.postgres]
image = { name = "postgres", tag = "17" }
ports = { sql = 5432 }

[[link]]
from = "inventory-service"
to   = "postgres:5432"

[attach]
prometheus = { url = "https://prometheus.example", bearer-file = "token" }
faults     = []
"#;

#[test]
fn the_example_of_the_design_page_is_understood() {
    let spec = parse(EXAMPLE).unwrap();
    assert_eq!(spec.root, Path::new("/nowhere"));
    assert_eq!(spec.port("postgres", "5432"), Some(("sql", 5432)));
    assert_eq!(spec.port("postgres", "sql"), Some(("sql", 5432)));
    let service = &spec.components["inventory-service"];
    assert_eq!(service.limits.unwrap().memory, Some(512 << 20));
    assert_eq!(service.switches["errors"].undo.method, Method::Delete);
    assert_eq!(service.variants["embedded"].drops[0].get_ref(), "postgres");
}

#[test]
fn a_mistyped_key_points_at_itself_and_is_corrected() {
    let text = EXAMPLE.replace("needs     =", "need     =");
    let found = problems(&text);
    let line = text.lines().position(|line| line.starts_with("need ")).unwrap() + 1;
    assert!(found[0].starts_with(&format!("stack.toml:{line}:1: unknown field `need`")), "{found:?}");
    assert!(found[0].ends_with("did you mean `needs`?"), "{found:?}");
}

#[test]
fn every_unknown_name_is_reported_at_its_place() {
    let text = EXAMPLE
        .replace("needs     = [\"postgres\"]", "needs     = [\"postgras\"]")
        .replace("{self:admin}/ready", "{self:admn}/ready")
        .replace("\"{listen:http}\"", "\"{lisen:http}\"")
        .replace("sqlite://{data}", "sqlite://{dta}")
        .replace("to   = \"postgres:5432\"", "to   = \"postgres:5433\"");
    let found = problems(&text).join("\n");
    for expected in [
        "there is no component `postgras`; did you mean `postgres`?",
        "has no port `admn`; did you mean `admin`?",
        "there is no component `lisen`",
        "`{dta}` stands for nothing; did you mean `{data}`?",
        "component `postgres` has no port `5433`; it has `sql`",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn a_component_that_cannot_be_run_is_refused() {
    let found =
        problems("[service]\ncomponent = \"a\"\nbase-url = \"http://x\"\n[component.a]\nports = { http = 1 }\n");
    assert_eq!(found, ["stack.toml:4:1: component `a` has neither a `command` nor an `image`; say how it is run"]);
}

#[test]
fn needs_must_not_go_in_a_circle() {
    let text = "[service]\ncomponent = \"a\"\nbase-url = \"http://x\"\n\
                [component.a]\ncommand = [\"a\"]\nneeds = [\"b\"]\n[component.b]\ncommand = [\"b\"]\nneeds = [\"a\"]\n";
    assert!(problems(text)[0].contains("component `a` needs `b`, which needs `a`"));
}

#[test]
fn a_readiness_condition_is_one_of_three() {
    let text = EXAMPLE.replace("{ http = \"http://{self:admin}/ready\", status = 200 }", "{ status = 200 }");
    assert!(problems(&text)[0].contains("exactly one of `http`, `tcp`, `log`"));
}

#[test]
fn a_request_without_a_method_is_refused_where_it_stands() {
    let text = EXAMPLE.replace("undo = { delete = \"http://{self:admin}/faults\" }", "undo = { }");
    let found = problems(&text);
    let line = text.lines().position(|line| line.starts_with("errors")).unwrap() + 1;
    assert!(found[0].starts_with(&format!("stack.toml:{line}:")), "{found:?}");
    assert!(found[0].contains("exactly one of `get`"), "{found:?}");
}

#[test]
fn a_missing_config_is_found_before_anything_starts() {
    let text = EXAMPLE.replace("[component.postgres]", "[component.postgres]\nconfig = \"pg/pg.conf\"");
    assert!(problems(&text)[0].contains("there is no `pg/pg.conf` in /nowhere/stack"));
}

#[test]
fn the_harnesss_own_exporter_has_a_name_of_its_own() {
    let with = |target: &str| EXAMPLE.replace("[[link]]", &format!("[usage]\ntarget = \"{target}\"\n\n[[link]]"));
    assert_eq!(parse(&with("cadvisor:8080")).unwrap().usage.unwrap().target.get_ref(), "cadvisor:8080");
    assert!(problems(&with("postgres:8080"))[0].contains("`postgres` is a component"));
    assert!(problems(&with("cadvisor"))[0].contains("`cadvisor` is no target; write `host:port`"));
}
