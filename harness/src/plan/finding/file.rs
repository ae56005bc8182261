//! Findings about one file by itself: rules, routes, unit tests of rules or a whole `prometheus.yml`. Rules are read beside the
//! `prometheus.yml` that loads them, where there is one: its intervals decide, and its other files hold what they record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Finding, findings, route_findings, test_findings};
use crate::plan::scale::duration::print;
use crate::plan::scale::source::{self, ConfigError, ConfigPaths};
use crate::plan::scale::yaml::Node;
use crate::plan::scale::{ConfigSet, alertmanager, config};

/// How many folders above a rule file its `prometheus.yml` is looked for.
const ABOVE: usize = 4;

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct FileFindings {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// The `prometheus.yml` whose intervals were used; none when they were assumed, or do not matter.
    pub loaded_by: Option<PathBuf>,
    /// Whether intervals had to be assumed.
    pub assumed: bool,
}

/// Looks at a file. `interval` is taken for the scrape and the evaluation interval where no `prometheus.yml` loads it.
///
/// # Errors
/// When the file, or a `prometheus.yml` that loads it, cannot be read.
pub fn findings_of(path: &Path, interval: Duration) -> Result<FileFindings, ConfigError> {
    let file = source::load(path)?;
    let has = |key: &str| file.document.as_ref().is_some_and(|document| document.get(key).is_some());
    let plain = |findings| FileFindings { findings, loaded_by: None, assumed: false };
    if has("tests") {
        return Ok(plain(test_findings(&file)));
    }
    if has("route") && has("receivers") {
        return Ok(plain(route_findings(&alertmanager::parse(file, Vec::new())?)));
    }
    if has("scrape_configs") || has("rule_files") {
        let set = source::read(&ConfigPaths { prometheus: path.to_owned(), ..ConfigPaths::default() })?;
        return Ok(FileFindings { findings: findings(&set), loaded_by: Some(path.to_owned()), assumed: false });
    }
    if let Some((prometheus, set, name)) = loaded_by(path)? {
        let mut found = findings(&set);
        found.retain(|finding| finding.location.file == name);
        for finding in &mut found {
            finding.location.file = path.display().to_string();
        }
        return Ok(FileFindings { findings: found, loaded_by: Some(prometheus), assumed: false });
    }
    let every = print(interval);
    let text = format!("global: {{scrape_interval: {every}, evaluation_interval: {every}}}\n");
    let set = config::parse(source::from_text(Path::new("prometheus.yml"), text)?, vec![file], None, Vec::new())?;
    Ok(FileFindings { findings: findings(&set), loaded_by: None, assumed: true })
}

/// The nearest `prometheus.yml` that loads the file, what it loads, and the file's name in it.
fn loaded_by(path: &Path) -> Result<Option<(PathBuf, ConfigSet, String)>, ConfigError> {
    let Ok(wanted) = path.canonicalize() else { return Ok(None) };
    let folders = wanted.ancestors().skip(1).take(ABOVE);
    for prometheus in folders.map(|folder| folder.join("prometheus.yml")).filter(|path| path.is_file()) {
        let file = source::load(&prometheus)?;
        if file.document.as_ref().is_none_or(|document: &Node| document.get("rule_files").is_none()) {
            continue;
        }
        let set = source::read(&ConfigPaths { prometheus: prometheus.clone(), ..ConfigPaths::default() })?;
        let is_wanted = |path: &Path| path.canonicalize().is_ok_and(|path| path == wanted);
        let name = set.prometheus.rule_files.iter().find(|file| is_wanted(&file.path)).map(source::SourceFile::name);
        if let Some(name) = name {
            return Ok(Some((prometheus, set, name)));
        }
    }
    Ok(None)
}
