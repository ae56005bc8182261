//! Finds scenarios by name, glob, file or folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use regex::Regex;

/// The scenario files that are meant: names and globs are looked up in the nearest `scenarios/` folder, paths are taken as
/// they are, folders stand for every `*.toml` in them. Nothing means the whole folder.
pub(super) fn scenarios(wanted: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    if wanted.is_empty() {
        return files(&folder()?);
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for word in wanted {
        for file in one(word)? {
            if !found.contains(&file) {
                found.push(file);
            }
        }
    }
    Ok(found)
}

fn one(word: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(word);
    if path.is_dir() {
        return files(path);
    }
    if path.exists() || path.extension().is_some_and(|extension| extension == "toml") || word.contains('/') {
        return Ok(vec![path.to_path_buf()]);
    }
    let all = files(&folder()?)?;
    let pattern = Regex::new(&format!("^{}$", glob(word))).context("understand the glob")?;
    let stem = |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let matching: Vec<PathBuf> = all.iter().filter(|file| pattern.is_match(&stem(file))).cloned().collect();
    if matching.is_empty() {
        let known: Vec<String> = all.iter().map(|file| stem(file)).collect();
        bail!("no scenario is called `{word}`; there are {}", known.join(", "));
    }
    Ok(matching)
}

fn glob(word: &str) -> String {
    word.chars()
        .map(|character| match character {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            other => regex::escape(&other.to_string()),
        })
        .collect()
}

fn folder() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("find the current folder")?;
    here.ancestors()
        .map(|above| above.join("scenarios"))
        .find(|path| path.is_dir())
        .map(|path| path.strip_prefix(&here).map_or_else(|_| path.clone(), Path::to_path_buf))
        .context("there is no folder `scenarios` here or above; name a scenario file")
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read the folder {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("there is no scenario in {}", folder.display());
    }
    Ok(files)
}
