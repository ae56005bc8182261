//! `compose.yaml` from `stack.toml`, for those who want plain Compose: the same images, commands, environment, limits and
//! rights as in a drill, without the harness. Pure text; printed by `cli`.
//!
//! Data is kept in memory, because a volume belongs to root and nothing here runs as root; secrets come from the caller's
//! environment, because none is shipped.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::docker::image::lock::Lock;
use super::spec::{Component, Image, Placeholder, Spec, Template};

const HEAD: &str = "\
# Written by `harness stack compose` from stack.toml; do not edit: `just compose` writes it anew.
#
# The stack of the drills in plain Compose, for looking around. Everything listens on 127.0.0.1, runs as nobody on a
# read-only root and keeps its data in memory. Optional components have the profile `optional`. Configuration is yours,
# as it is: Alertmanager sends to the receivers it names.
";

/// What every service has.
const COMMON: &str = "
x-service: &service
  user: \"65534:65534\"
  read_only: true
  cap_drop: [ALL]
  security_opt: [\"no-new-privileges:true\"]
  tmpfs:
    - /tmp:size=64m
    - /data:uid=65534,gid=65534,mode=0700
  logging:
    driver: json-file
    options: {max-size: 50m, max-file: \"2\"}

services:
";

/// Stands for the dollar of an interpolation until the text's own dollars are doubled.
const DOLLAR: char = '\u{1}';

/// Why a stack cannot be written as Compose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// It has no image.
    #[error("write component `{0}` as a Compose service: it has no image")]
    NoImage(String),
    /// A text needs what only a run has.
    #[error("write component `{component}` as a Compose service: `{placeholder}` has a value only in a run")]
    Placeholder {
        /// The component.
        component: String,
        /// As written.
        placeholder: String,
    },
}

/// The file's text.
///
/// # Errors
/// A component without an image, or with a placeholder that only a run can fill.
pub fn compose(spec: &Spec, lock: &Lock) -> Result<String, ComposeError> {
    let mut services = String::new();
    let mut published = BTreeSet::new();
    for (name, component) in &spec.components {
        services.push_str(&service(spec, lock, name, component, &mut published)?);
    }
    let mut text = HEAD.to_owned();
    let secrets: BTreeSet<String> = spec.components.values().flat_map(secrets).collect();
    if !secrets.is_empty() {
        let _ = writeln!(text, "#\n# It asks for secrets, once:\n#");
        for secret in &secrets {
            let _ = writeln!(text, "#   export {secret}=$(openssl rand -hex 16)");
        }
    }
    let builds = spec.components.values().filter_map(|it| Some(it.image.as_ref()?.prepare.as_ref()?.join(" ")));
    for command in builds {
        let _ = writeln!(text, "#\n# and for the program of an image, built before:\n#\n#   {command}");
    }
    text.push_str(COMMON);
    text.push_str(&services);
    Ok(text)
}

fn secrets(component: &Component) -> Vec<String> {
    let texts = component.env.values().chain(&component.command).chain(&component.args);
    let texts = texts.chain(component.image.iter().flat_map(|image| &image.command));
    let holes = texts.flat_map(Template::placeholders);
    holes.filter_map(|hole| if let Placeholder::Secret(name) = hole { Some(variable(name)) } else { None }).collect()
}

/// `db` is asked for as `SECRET_DB`.
fn variable(secret: &str) -> String {
    format!("SECRET_{}", secret.to_uppercase().replace(['-', '.'], "_"))
}

fn service(
    spec: &Spec,
    lock: &Lock,
    name: &str,
    component: &Component,
    published: &mut BTreeSet<u16>,
) -> Result<String, ComposeError> {
    let image = component.image.as_ref().ok_or_else(|| ComposeError::NoImage(name.to_owned()))?;
    let text = |written: &Template| rendered(spec, name, component, written);
    let mut out = format!("  {name}:\n    <<: *service\n");
    out.push_str(&source(lock, name, image)?);
    let command = if image.command.is_empty() { &component.command } else { &image.command };
    let entrypoint = image.command.first().map(text).transpose()?.or_else(|| image.entrypoint.clone());
    if let Some(entrypoint) = entrypoint {
        let _ = writeln!(out, "    entrypoint: [{}]", quoted(&entrypoint));
    }
    // without an image's own command, the host's stands for its arguments only
    let arguments = command.iter().skip(1).chain(&component.args).map(text).collect::<Result<Vec<_>, _>>()?;
    if !arguments.is_empty() && image.build.is_none() {
        out.push_str("    command:\n");
        out.extend(arguments.iter().map(|argument| format!("      - {}\n", quoted(argument))));
    }
    if !component.env.is_empty() {
        out.push_str("    environment:\n");
        for (key, value) in &component.env {
            let _ = writeln!(out, "      {key}: {}", quoted(&text(value)?));
        }
    }
    out.push_str(&mounts(spec, component));
    let free: Vec<u16> = component.ports.values().copied().filter(|port| published.insert(*port)).collect();
    if !free.is_empty() {
        out.push_str("    ports:\n");
        out.extend(free.iter().map(|port| format!("      - \"127.0.0.1:{port}:{port}\"\n")));
    }
    if !component.needs.is_empty() {
        let needs: Vec<&str> = component.needs.iter().map(|need| need.get_ref().as_str()).collect();
        let _ = writeln!(out, "    depends_on: [{}]", needs.join(", "));
    }
    if component.optional {
        out.push_str("    profiles: [optional]\n");
    }
    out.push_str(&limits(component));
    out.push_str("    restart: unless-stopped\n");
    Ok(out)
}

fn source(lock: &Lock, name: &str, image: &Image) -> Result<String, ComposeError> {
    if let Some(folder) = &image.build {
        return Ok(format!("    build:\n      context: ..\n      dockerfile: {folder}/Dockerfile\n"));
    }
    let reference = image.reference().ok_or_else(|| ComposeError::NoImage(name.to_owned()))?;
    let digest = image.digest.as_deref().or_else(|| lock.digest(&reference));
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    Ok(format!("    image: {}\n", quoted(&format!("{reference}{digest}"))))
}

/// A file is mounted with its neighbours, so that rule files and templates are found.
fn mounts(spec: &Spec, component: &Component) -> String {
    let Some((folder, _)) = config(spec, component) else { return String::new() };
    format!("    volumes:\n      - {}\n", quoted(&format!("./{folder}:/config:ro")))
}

/// The config's folder, and its file in it if it is one.
fn config(spec: &Spec, component: &Component) -> Option<(String, Option<String>)> {
    let config = component.config.as_ref()?.get_ref();
    if spec.folder.join(config).is_dir() {
        return Some((config.clone(), None));
    }
    let (folder, file) = config.rsplit_once('/').unwrap_or((".", config));
    Some((folder.to_owned(), Some(file.to_owned())))
}

fn limits(component: &Component) -> String {
    const MIB: u64 = 1 << 20;
    let limits = component.limits;
    let cpus = limits.and_then(|limits| limits.cpus).unwrap_or(2.0);
    let memory = limits.and_then(|limits| limits.memory).unwrap_or(1024 * MIB);
    let pids = limits.and_then(|limits| limits.pids).unwrap_or(512);
    format!("    cpus: {cpus:?}\n    mem_limit: {}m\n    pids_limit: {pids}\n", memory / MIB)
}

fn rendered(spec: &Spec, name: &str, component: &Component, written: &Template) -> Result<String, ComposeError> {
    let number = |component: &str, port: &str| spec.port(component, port).map(|(_, number)| number);
    let worth = |hole: &Placeholder| {
        Some(match hole {
            Placeholder::Address { component, port } => format!("{component}:{}", number(component, port)?),
            Placeholder::Listen(port) => format!("0.0.0.0:{}", number(name, port)?),
            Placeholder::ListenHost => "0.0.0.0".to_owned(),
            Placeholder::ListenPort(port) => number(name, port)?.to_string(),
            Placeholder::Own(port) => format!("127.0.0.1:{}", number(name, port)?),
            Placeholder::Data => "/data".to_owned(),
            Placeholder::Config => match config(spec, component)? {
                (_, Some(file)) => format!("/config/{file}"),
                (_, None) => "/config".to_owned(),
            },
            Placeholder::Secret(secret) => format!("{DOLLAR}{{{}:?set it to any secret}}", variable(secret)),
            Placeholder::Harness | Placeholder::Stack | Placeholder::Value(_) => return None,
        })
    };
    written
        .render(worth)
        .map(|text| text.replace('$', "$$").replace(DOLLAR, "$"))
        .map_err(|hole| ComposeError::Placeholder { component: name.to_owned(), placeholder: hole.to_string() })
}

/// A JSON string, which is a YAML one too.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    const STACK: &str = r#"
[service]
component = "app"
base-url = "http://{app:http}"
[component.app]
command = ["target/release/app", "--local"]
image = { build = "images/app", prepare = ["make", "app"] }
ports = { http = 8080 }
env = { DB = "postgres://{secret:db}@{db:sql}", PRICE = "5$" }
needs = ["db"]
limits = { cpus = 0.5, memory = "64MiB", pids = 10 }
[component.db]
image = { name = "postgres", tag = "17.6", command = ["/bin/sh", "{config}", "{data}", "{listen:sql}"] }
config = "start.sh"
ports = { sql = 5432 }
[component.extra]
image = { name = "extra" }
optional = true
"#;

    fn spec(text: &str) -> (tempfile::TempDir, Spec) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("start.sh"), "").unwrap();
        std::fs::write(folder.path().join("stack.toml"), text).unwrap();
        let spec = Spec::load(&folder.path().join("stack.toml")).unwrap();
        (folder, spec)
    }

    #[test]
    fn a_stack_becomes_services_on_loopback_without_rights_and_without_secrets() {
        let (_folder, spec) = spec(STACK);
        let digest = format!("sha256:{}", "a".repeat(64));
        let lock = Lock::of(BTreeMap::from([("postgres:17.6".to_owned(), digest.clone())]));
        let text = compose(&spec, &lock).unwrap();
        let services = text.split_once("services:\n").unwrap().1;
        let expected = format!(
            "  app:\n    <<: *service\n    build:\n      context: ..\n      dockerfile: images/app/Dockerfile\n    \
             environment:\n      DB: \"postgres://${{SECRET_DB:?set it to any secret}}@db:5432\"\n      \
             PRICE: \"5$$\"\n    ports:\n      - \"127.0.0.1:8080:8080\"\n    depends_on: [db]\n    cpus: 0.5\n    \
             mem_limit: 64m\n    pids_limit: 10\n    restart: unless-stopped\n  db:\n    <<: *service\n    \
             image: \"postgres:17.6@{digest}\"\n    entrypoint: [\"/bin/sh\"]\n    command:\n      \
             - \"/config/start.sh\"\n      - \"/data\"\n      - \"0.0.0.0:5432\"\n    volumes:\n      \
             - \"./.:/config:ro\"\n    ports:\n      - \"127.0.0.1:5432:5432\"\n    cpus: 2.0\n    mem_limit: 1024m\n    \
             pids_limit: 512\n    restart: unless-stopped\n  extra:\n    <<: *service\n    image: \"extra:latest\"\n    \
             profiles: [optional]\n    cpus: 2.0\n    mem_limit: 1024m\n    pids_limit: 512\n    \
             restart: unless-stopped\n"
        );
        assert_eq!(services, expected);
        assert!(text.contains("#   export SECRET_DB=$(openssl rand -hex 16)\n") && text.contains("#   make app\n"));
    }

    #[test]
    fn a_component_without_an_image_is_named() {
        let (_folder, spec) =
            spec("[service]\ncomponent = \"a\"\nbase-url = \"x\"\n[component.a]\ncommand = [\"a\"]\n");
        assert_eq!(compose(&spec, &Lock::default()), Err(ComposeError::NoImage("a".to_owned())));
    }

    #[test]
    fn the_shipped_compose_file_is_what_the_stack_file_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack");
        let spec = Spec::load(&folder.join("stack.toml")).unwrap();
        let fresh = compose(&spec, &Lock::beside(&spec.file).unwrap()).unwrap();
        let shipped = std::fs::read_to_string(folder.join("compose.yaml")).unwrap_or_default();
        assert!(shipped == fresh, "stack/compose.yaml is stale: run `just compose`");
    }
}
