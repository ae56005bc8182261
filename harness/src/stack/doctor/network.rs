//! What the kernel can do to a network, tried in a network namespace of its own that ends with the command that tries it.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::process::Command;

use super::{Finding, Grade};
use crate::stack::local::on_path;

/// For one try.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that a kernel may be able to do.
struct Feature {
    subject: &'static str,
    tool: &'static str,
    arguments: &'static [&'static str],
    costs: &'static str,
    remedy: &'static str,
}

const FEATURES: [Feature; 4] = [
    Feature {
        subject: "network delay",
        tool: "tc",
        arguments: &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        costs: "delays and losses are made by a proxy in the link, which sees connections and no packets",
        remedy: "a kernel with sch_netem (Debian: any of its own kernels)",
    },
    Feature {
        subject: "network rate",
        tool: "tc",
        arguments: &["qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "4kb", "latency", "1s"],
        costs: "rates are limited by a proxy in the link",
        remedy: "a kernel with sch_tbf (Debian: any of its own kernels)",
    },
    Feature {
        subject: "packet filter",
        tool: "iptables",
        arguments: &["-I", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP"],
        costs: "connections are cut by a proxy in the link instead of packets by the kernel",
        remedy: "a kernel with netfilter, and iptables",
    },
    Feature {
        subject: "packet queue",
        tool: "iptables",
        arguments: &["-I", "INPUT", "-p", "tcp", "--dport", "1", "-j", "NFQUEUE", "--queue-num", "7", "--queue-bypass"],
        costs: "without netem, packets cannot be delayed by a program either",
        remedy: "a kernel with xt_NFQUEUE",
    },
];

/// Tries everything, at the same time.
pub(super) async fn examine() -> Vec<Finding> {
    let missing: Vec<&str> = ["tc", "iptables", "unshare"].into_iter().filter(|tool| on_path(tool).is_none()).collect();
    if !missing.is_empty() {
        let costs = "what the kernel can do to a network is not known; network faults are made by a proxy";
        let found = format!("no {}", missing.join(", no "));
        let remedy = "Debian: apt-get install iproute2 iptables util-linux";
        return vec![Finding::bad("network tools", Grade::Missing, found, costs, remedy)];
    }
    let mut findings = vec![Finding::good("network tools", "tc, iptables and unshare")];
    findings.extend(join_all(FEATURES.iter().map(examine_one)).await);
    findings
}

async fn examine_one(feature: &Feature) -> Finding {
    match attempt(feature.tool, feature.arguments).await {
        Ok(()) => {
            Finding::good(feature.subject, format!("the kernel does what `{} {}` asks", feature.tool, feature.short()))
        }
        Err(words) => Finding::bad(feature.subject, Grade::Missing, words, feature.costs, feature.remedy),
    }
}

impl Feature {
    fn short(&self) -> &'static str {
        self.arguments.iter().copied().find(|word| matches!(*word, "netem" | "tbf" | "DROP" | "NFQUEUE")).unwrap_or("")
    }
}

/// Runs a command in a namespace of its own; its last words when it fails.
async fn attempt(tool: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--", tool]).args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("`{tool}` did not end within {} s", PATIENCE.as_secs())),
    };
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let first = words.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
    Err(first.trim().trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_command_says_last_is_what_was_found() {
        let refused = attempt("false", &[]).await.unwrap_err();
        assert!(!refused.is_empty());
        assert!(attempt("no-such-tool-anywhere", &[]).await.is_err());
    }
}
