//! The process's own metrics, read from `/proc/self` at scrape time, named as the official Prometheus clients name them.
//! Where there is no `/proc`, they are absent.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::names::{self, Metric};

/// Reads `/proc/self` whenever it is asked.
#[derive(Debug)]
pub struct ProcessCollector;

#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: f64,
    start_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        if let Some(process) = read_process() {
            show(&mut encoder, &names::PROCESS_CPU, &ConstCounter::new(process.cpu_seconds))?;
            show(&mut encoder, &names::PROCESS_START, &ConstGauge::new(process.start_seconds))?;
            show(&mut encoder, &names::PROCESS_THREADS, &ConstGauge::new(process.threads))?;
            show(&mut encoder, &names::PROCESS_VIRTUAL, &ConstGauge::new(process.virtual_bytes))?;
            show(&mut encoder, &names::PROCESS_RESIDENT, &ConstGauge::new(process.resident_bytes))?;
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            let open_files = limit(&limits, "Max open files").unwrap_or(-1.0);
            show(&mut encoder, &names::PROCESS_MAX_FDS, &ConstGauge::new(open_files))?;
            let address_space = limit(&limits, "Max address space").unwrap_or(-1.0);
            show(&mut encoder, &names::PROCESS_VIRTUAL_MAX, &ConstGauge::new(address_space))?;
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // The directory itself is open while it is counted.
            let open = i64::try_from(descriptors.count()).unwrap_or(i64::MAX) - 1;
            show(&mut encoder, &names::PROCESS_OPEN_FDS, &ConstGauge::new(open))?;
        }
        Ok(())
    }
}

fn show(encoder: &mut DescriptorEncoder, metric: &Metric, value: &impl EncodeMetric) -> Result<(), std::fmt::Error> {
    let help = format!("{}.", metric.help);
    let described = encoder.encode_descriptor(metric.family(), &help, None, value.metric_type())?;
    value.encode(described)
}

fn read_process() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    parse_stat(&stat, boot)
}

/// Reads a `stat` line; the command's name may hold spaces and parentheses, so counting starts behind the last `)`.
#[expect(clippy::cast_precision_loss, reason = "ticks per second and page size are small")]
fn parse_stat(stat: &str, boot: f64) -> Option<Process> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    let fields: Vec<f64> =
        stat.rsplit_once(')')?.1.split_whitespace().skip(1).map(|text| text.parse().unwrap_or(0.0)).collect();
    // Field numbers as in proc(5); the first one after the state is number 4.
    let field = |number: usize| fields.get(number - 4).copied();
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) / ticks,
        threads: field(20)?,
        start_seconds: boot + field(22)? / ticks,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page,
    })
}

/// The soft limit of a row; `None` when unlimited or unknown.
fn limit(limits: &str, row: &str) -> Option<f64> {
    limits.lines().find_map(|line| line.strip_prefix(row))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 200 4096000 100 0";
        let process = parse_stat(stat, 1000.0).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((process.cpu_seconds - 200.0 / ticks).abs() < 1e-9);
        assert!((process.threads - 3.0).abs() < 1e-9 && (process.virtual_bytes - 4_096_000.0).abs() < 1e-9);
        assert!((process.start_seconds - (1000.0 + 200.0 / ticks)).abs() < 1e-9);
    }

    #[test]
    fn an_unlimited_row_has_no_value() {
        let limits = "Max address space         unlimited            unlimited            bytes\nMax open files  1024  4096  files\n";
        assert_eq!(limit(limits, "Max address space"), None);
        assert_eq!(limit(limits, "Max open files"), Some(1024.0));
    }
}
