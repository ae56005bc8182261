//! What the figures were measured on.

use std::process::Command;

use crate::tool::Tool;

/// The day, the machine and the versions.
pub(crate) fn describe() -> String {
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory: u64 = line("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse().ok())
        .map_or(0, |kib: u64| kib / 1024 / 1024);
    let versions: Vec<String> = Tool::ALL.iter().map(|tool| format!("{} {}", tool.name(), tool.version())).collect();
    format!(
        "Measured on {} on {cores} cores ({model}), {memory} GiB, Linux {}, {}; {}. Load average at the start: {}.",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        said("uname", &["-r"]),
        said("rustc", &["--version"]),
        versions.join(", "),
        load(),
    )
}

/// A busy machine makes every figure worse; that has to be seen beside them.
pub(crate) fn load_at_the_end() -> String {
    format!("\nLoad average at the end: {}.", load())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn line(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first line that a program says.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "unknown".to_owned() };
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown").trim().to_owned()
}
