//! Reading the configuration under test: the files, what they include, and nothing else. The only I/O of `plan::scale`.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use super::config::{self, ConfigSet};
use super::promql::PromqlError;
use super::yaml::{self, Node, YamlError};
use super::{alertmanager, duration, rule, ruler};
use crate::source::Location;

/// Where the user's files are.
#[derive(Clone, Debug, Default)]
pub struct ConfigPaths {
    /// `prometheus.yml`; its rule files are found from it.
    pub prometheus: PathBuf,
    /// `alertmanager.yml`; its templates are found from it.
    pub alertmanager: Option<PathBuf>,
    /// Loki's configuration; the rules of its ruler are found from it.
    pub loki: Option<PathBuf>,
}

/// A file of the configuration, parsed as YAML.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The path as people should see it.
    pub path: PathBuf,
    /// The path below the configuration's root; the copy lies at the same place below the run's folder.
    pub relative: PathBuf,
    /// The text, byte for byte.
    pub text: String,
    /// The YAML document; none for templates and empty files.
    pub document: Option<Node>,
}

/// Why the configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not UTF-8.
    #[error("read {path}: byte {offset} is no UTF-8", path = path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The first bad byte.
        offset: usize,
    },
    /// Not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// An expression is no PromQL.
    #[error("{location}: {source}")]
    Expression {
        /// Where the expression stands.
        location: Location,
        /// Why.
        source: PromqlError,
    },
    /// The file does not say what it must.
    #[error("{location}: {message}")]
    Meaning {
        /// Where.
        location: Location,
        /// What is wrong and what to try.
        message: String,
    },
}

impl ConfigError {
    /// Where the error is.
    #[must_use]
    pub fn location(&self) -> Location {
        match self {
            Self::Io { path, .. } | Self::Encoding { path, .. } => {
                Location { file: path.display().to_string(), line: 1, column: 1 }
            }
            Self::Yaml(error) => error.location.clone(),
            Self::Expression { location, .. } | Self::Meaning { location, .. } => location.clone(),
        }
    }
}

/// Reads the configuration: `prometheus.yml`, its rule files, `alertmanager.yml` and its templates.
///
/// # Errors
/// When a file cannot be read or does not say what it must; the error names file and line.
pub fn read(paths: &ConfigPaths) -> Result<ConfigSet, ConfigError> {
    let prometheus = load(&paths.prometheus)?;
    let mut rules: Vec<SourceFile> = Vec::new();
    let mut unmatched = Vec::new();
    for entry in config::rule_file_patterns(&prometheus) {
        let pattern = entry.text().unwrap_or_default();
        let found = included(&paths.prometheus, pattern);
        if found.is_empty() {
            unmatched.push((prometheus.location(entry), pattern.to_owned()));
        }
        for path in found {
            if !rules.iter().any(|known| known.path == path) {
                rules.push(load(&path)?);
            }
        }
    }
    let (mut targets, unmatched_targets) = target_files(&paths.prometheus, &prometheus)?;
    let alertmanager = paths.alertmanager.as_deref().map(load).transpose()?;
    let mut templates = Vec::new();
    if let (Some(file), Some(path)) = (&alertmanager, &paths.alertmanager) {
        for entry in alertmanager::template_patterns(file) {
            for path in included(path, entry.text().unwrap_or_default()) {
                templates.push(load_text(&path)?);
            }
        }
    }
    let mut logs = paths.loki.as_deref().map(ruler_files).transpose()?.flatten();
    let mut files: Vec<&mut SourceFile> = Vec::new();
    let mut prometheus = prometheus;
    let mut alertmanager = alertmanager;
    files.push(&mut prometheus);
    files.extend(rules.iter_mut().chain(&mut targets).chain(alertmanager.iter_mut()).chain(templates.iter_mut()));
    files.extend(logs.iter_mut().flat_map(|(loki, rules)| [loki].into_iter().chain(rules)));
    set_relative(&mut files);
    let mut set = config::parse(prometheus, rules, alertmanager, templates)?;
    set.prometheus.unmatched_rule_files = unmatched;
    set.prometheus.unmatched_target_files = unmatched_targets;
    set.prometheus.add_target_files(targets)?;
    set.ruler = logs.map(|(loki, rules)| ruler::parse(loki, rules)).transpose()?;
    Ok(set)
}

/// Loki's configuration and the files of its ruler; none where it names no folder of rules.
fn ruler_files(path: &Path) -> Result<Option<(SourceFile, Vec<SourceFile>)>, ConfigError> {
    let file = load(path)?;
    let Some(folder) = ruler::folder(&file) else { return Ok(None) };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let visible = |path: &PathBuf| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.is_file() && visible(path)).collect();
    paths.sort();
    Ok(Some((file, paths.iter().map(|path| load(path)).collect::<Result<_, _>>()?)))
}

type Unmatched = Vec<(Location, String)>;

/// The files that `file_sd_configs` name, and the entries that name none.
fn target_files(path: &Path, prometheus: &SourceFile) -> Result<(Vec<SourceFile>, Unmatched), ConfigError> {
    let (mut files, mut unmatched): (Vec<SourceFile>, _) = (Vec::new(), Vec::new());
    for entry in config::all_target_file_patterns(prometheus) {
        let pattern = entry.text().unwrap_or_default();
        let found = included(path, pattern);
        if found.is_empty() {
            unmatched.push((prometheus.location(entry), pattern.to_owned()));
        }
        for path in found {
            if !files.iter().any(|known| known.path == path) {
                files.push(load(&path)?);
            }
        }
    }
    Ok((files, unmatched))
}

/// Whether a pattern in `config` names the file that lies at `relative` below the configuration's root.
pub(super) fn names(config: &SourceFile, pattern: &str, relative: &Path) -> bool {
    let folder = config.relative.parent().unwrap_or_else(|| Path::new(""));
    let within = |pattern: &Path| {
        let wanted: Vec<Component<'_>> = folder.components().chain(pattern.components()).collect();
        let parts: Vec<Component<'_>> = relative.components().collect();
        let fits = |(wanted, part): (&Component<'_>, &Component<'_>)| {
            let (wanted, part) = (wanted.as_os_str().to_string_lossy(), part.as_os_str().to_string_lossy());
            wildcard(&wanted).map_or(wanted == part, |pattern| pattern.is_match(&part))
        };
        wanted.len() == parts.len() && wanted.iter().zip(&parts).all(fits)
    };
    within(&clean(Path::new(pattern))) || mounted(pattern).is_some_and(|beside| within(&beside))
}

/// Builds a file from a text, as [`read`] would from a disk.
///
/// # Errors
/// When it is no YAML, is a Helm template, or holds several documents.
pub fn from_text(path: &Path, text: String) -> Result<SourceFile, ConfigError> {
    let name = path.display().to_string();
    if let Some(offset) = helm(&text) {
        let message =
            "this is a Helm template, not a configuration: render it first (`helm template`) and use the result";
        return Err(ConfigError::Meaning { location: Location::of(&name, &text, offset), message: message.to_owned() });
    }
    let mut documents = yaml::parse(&name, &text)?;
    if let Some(second) = documents.get(1) {
        let message = "a second YAML document in one file: put each into its own file".to_owned();
        return Err(ConfigError::Meaning { location: Location::of(&name, &text, second.at.start), message });
    }
    Ok(SourceFile { path: path.to_owned(), relative: path.to_owned(), text, document: documents.pop() })
}

impl SourceFile {
    /// The path as people should see it.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The location of a node.
    #[must_use]
    pub fn location(&self, node: &Node) -> Location {
        Location::of(&self.name(), &self.text, node.at.start)
    }

    /// An error at a node.
    #[must_use]
    pub fn error(&self, node: &Node, message: impl Into<String>) -> ConfigError {
        ConfigError::Meaning { location: self.location(node), message: message.into() }
    }

    /// The text of a scalar under `key`.
    ///
    /// # Errors
    /// When it is a list or a mapping.
    pub fn text_of(&self, mapping: &Node, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(node) = mapping.get(key) else { return Ok(None) };
        node.text()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| self.error(node, format!("`{key}` must be one value, not a list or a mapping")))
    }

    /// The duration under `key`.
    ///
    /// # Errors
    /// When it is no Prometheus duration.
    pub fn duration_of(&self, mapping: &Node, key: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = self.text_of(mapping, key)? else { return Ok(None) };
        let node = mapping.get(key).unwrap_or(mapping);
        duration::parse(&text).map(Some).ok_or_else(|| {
            self.error(
                node,
                format!("`{key}: {text}` is no duration: write a number with a unit, such as `30s` or `5m`"),
            )
        })
    }
}

/// Reads one YAML file.
///
/// # Errors
/// As [`from_text`], and when it cannot be read.
pub fn load(path: &Path) -> Result<SourceFile, ConfigError> {
    let file = load_text(path)?;
    from_text(path, file.text)
}

fn load_text(path: &Path) -> Result<SourceFile, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes)
        .map_err(|error| ConfigError::Encoding { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(SourceFile { path: path.to_owned(), relative: path.to_owned(), text, document: None })
}

/// Where a Helm expression stands; Prometheus templates (`{{ $labels.job }}`) and comments are none.
fn helm(text: &str) -> Option<usize> {
    let pattern = r#"\{\{-?\s*(\.(Values|Release|Chart)|include\s|`|"\{\{"|(if|range|with)\s[^}]*\.Values)"#;
    let templated = Regex::new(pattern).expect("a constant pattern");
    let comment = |offset: usize| {
        let line = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        text[line..].trim_start().starts_with('#')
    };
    templated.find_iter(text).map(|found| found.start()).find(|offset| !comment(*offset))
}

/// The files a pattern of a configuration file names, sorted. A container's absolute path that does not exist here is
/// looked for beside the configuration file, where it would be mounted from.
fn included(config: &Path, pattern: &str) -> Vec<PathBuf> {
    let base = config.parent().unwrap_or_else(|| Path::new(""));
    let found = glob(base, Path::new(pattern));
    match mounted(pattern) {
        Some(beside) if found.is_empty() => glob(base, &beside),
        _ => found,
    }
}

/// The part of a container's path below its configuration folder.
pub(super) fn mounted(pattern: &str) -> Option<PathBuf> {
    ["/etc/prometheus/", "/etc/alertmanager/", "/etc/config/"]
        .iter()
        .find_map(|folder| pattern.strip_prefix(folder))
        .map(PathBuf::from)
}

fn glob(base: &Path, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![if pattern.is_absolute() { PathBuf::from("/") } else { base.to_owned() }];
    for part in pattern.components() {
        let Component::Normal(name) = part else {
            if part == Component::ParentDir {
                found.iter_mut().for_each(|path| path.push(".."));
            }
            continue;
        };
        let name = name.to_string_lossy();
        found = found.into_iter().flat_map(|path| matching(&path, &name)).collect();
    }
    found.retain(|path| path.is_file());
    found.sort();
    found.dedup();
    found
}

fn matching(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Some(pattern) = wildcard(name) else {
        let path = folder.join(name);
        return if path.exists() { vec![path] } else { Vec::new() };
    };
    let entries = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| pattern.is_match(&name.to_string_lossy())).map(|name| folder.join(name)).collect()
}

/// Go's `filepath.Match` as a regex; none for a plain name.
fn wildcard(name: &str) -> Option<Regex> {
    if !name.contains(['*', '?', '[']) {
        return None;
    }
    let mut pattern = String::from("^");
    for character in name.chars() {
        match character {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '[' | ']' | '-' => pattern.push(character),
            other => pattern.push_str(&regex::escape(&other.to_string())),
        }
    }
    pattern.push('$');
    Regex::new(&pattern).ok()
}

fn set_relative(files: &mut [&mut SourceFile]) {
    let absolute: Vec<PathBuf> = files.iter().map(|file| normal(&file.path)).collect();
    let mut root: PathBuf = absolute.first().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default();
    for path in &absolute {
        while !path.starts_with(&root) && root.pop() {}
    }
    for (file, path) in files.iter_mut().zip(absolute) {
        file.relative = path.strip_prefix(&root).map(Path::to_owned).unwrap_or(path);
    }
}

/// The absolute path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// Parses rule files given as texts; for tests and for scenarios that bring their own.
///
/// # Errors
/// As [`read`].
pub fn rules_from_text(path: &Path, text: &str) -> Result<Vec<rule::RuleGroup>, ConfigError> {
    rule::parse(&from_text(path, text.to_owned())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    const RULE: &str = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n";
    const MANAGER: &str = "route: {receiver: a}\nreceivers: [{name: a}]\ntemplates: ['*.tmpl']\n";

    #[test]
    fn rule_files_and_templates_are_found_and_keep_their_places() {
        let folder = folder(&[
            (
                "prometheus/prometheus.yml",
                "rule_files: ['rules/*.yml', /etc/prometheus/more/b.yml, ../shared/c?.yml, none/*.yml]\n",
            ),
            ("prometheus/rules/a.yml", RULE),
            ("prometheus/rules/a.yaml", "not: loaded\n"),
            ("prometheus/more/b.yml", RULE),
            ("shared/c1.yml", RULE),
            ("alertmanager/alertmanager.yml", MANAGER),
            ("alertmanager/page.tmpl", "{{ define \"x\" }}{{ end }}"),
        ]);
        let at = |path: &str| folder.path().join(path);
        let paths = ConfigPaths {
            prometheus: at("prometheus/prometheus.yml"),
            alertmanager: Some(at("alertmanager/alertmanager.yml")),
            loki: None,
        };
        let set = read(&paths).unwrap();
        let places: Vec<String> =
            set.prometheus.rule_files.iter().map(|file| file.relative.display().to_string()).collect();
        assert_eq!(places, ["prometheus/rules/a.yml", "prometheus/more/b.yml", "shared/c1.yml"]);
        let manager = set.alertmanager.unwrap();
        assert_eq!(manager.templates[0].relative, Path::new("alertmanager/page.tmpl"));
        assert_eq!(set.prometheus.alerts().count(), 3);
        assert_eq!(set.prometheus.unmatched_rule_files[0].1, "none/*.yml");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_file_and_line() {
        let cases = [
            ("a: [1\nb: 2\n", "prometheus.yml:2"),
            ("scrape_configs:\n  - job_name: a\n    scrape_interval: 5\n", "prometheus.yml:3"),
            ("global: {scrape_interval: 0s}\n", "longer than zero"),
            ("scrape_configs: [{static_configs: []}]\n", "needs a `job_name`"),
            ("", "is empty"),
            ("a: 1\n---\nb: 2\n", "prometheus.yml:3"),
            ("x: {{ .Values.y }}\n", "helm template"),
        ];
        for (text, expected) in cases {
            let folder = folder(&[("prometheus.yml", text)]);
            let error =
                read(&ConfigPaths { prometheus: folder.path().join("prometheus.yml"), ..ConfigPaths::default() })
                    .unwrap_err();
            assert!(error.to_string().contains(expected), "{text:?}: {error}");
        }
        let missing = read(&ConfigPaths { prometheus: "/nowhere/p.yml".into(), ..ConfigPaths::default() }).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/p.yml"));
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_offset_b11() {
        let folder = folder(&[]);
        std::fs::write(folder.path().join("p.yml"), b"a: \xff\n").unwrap();
        let error =
            read(&ConfigPaths { prometheus: folder.path().join("p.yml"), ..ConfigPaths::default() }).unwrap_err();
        assert!(error.to_string().contains("byte 3"), "{error}");
    }

    #[test]
    fn an_expression_that_is_no_promql_is_named_by_its_line_b21() {
        let text = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: rate(x)\n";
        let error = rules_from_text(Path::new("r.yml"), text).unwrap_err();
        assert_eq!(error.location().line, 5);
    }

    #[test]
    fn helm_templates_are_told_by_their_expressions_and_not_by_comments() {
        for text in [
            "a: {{ .Values.x }}",
            "a: {{- include \"x\" . }}",
            "a: {{`{{ $x }}`}}",
            "{{- if .Values.x }}",
            "a: '{{ \"{{\" }} $x }}'",
        ] {
            assert!(helm(text).is_some(), "{text}");
        }
        assert!(helm("# {{ .Values.x }}\na: '{{ if $labels.x }}{{ end }}{{ define \"y\" }}'").is_none());
    }

    #[test]
    fn prometheus_templates_are_no_helm_templates() {
        let text = "groups: [{name: g, rules: [{alert: A, expr: up == 0, annotations: {s: '{{- if eq $labels.a \"b\" }}{{ $value }}{{ end }}'}}]}]\n";
        assert_eq!(rules_from_text(Path::new("r.yml"), text).unwrap().len(), 1);
    }
}
