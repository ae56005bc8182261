//! goose as the load benchmark calls it: `goose-peer USERS REQUESTS-PER-SECOND SECONDS URL`, a rate of 0 for full speed.
//! Prints one line of JSON: requests, and p50, p90, p95, p99 in microseconds as goose itself counts them.

use goose::config::GooseConfiguration;
use goose::metrics::GooseMetrics;
use goose::prelude::*;

/// As pinned in `Cargo.toml`.
const GOOSE: &str = "0.19.0";

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Anyhow<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("{GOOSE}");
        return Ok(());
    }
    let [users, rate, seconds, url] = &words[..] else {
        return Err("usage: goose-peer USERS REQUESTS-PER-SECOND SECONDS URL".into());
    };
    let metrics = tokio::runtime::Runtime::new()?.block_on(attack(users.parse()?, rate.parse()?, seconds, url))?;
    println!("{}", report(&metrics));
    Ok(())
}

async fn attack(users: usize, rate: usize, seconds: &str, url: &str) -> Anyhow<GooseMetrics> {
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(url.trim_end_matches('/').to_owned());
    configuration.users = Some(users);
    configuration.increase_rate = Some((users * 100).to_string());
    configuration.run_time = Some(seconds.to_owned());
    configuration.throttle_requests = (rate > 0).then_some(rate);
    configuration.no_print_metrics = true;
    configuration.no_reset_metrics = true;
    configuration.no_telnet = true;
    configuration.quiet = 2;
    let attack = GooseAttack::initialize_with_config(configuration)?;
    Ok(attack.register_scenario(scenario!("peer").register_transaction(transaction!(get))).execute().await?)
}

async fn get(user: &mut GooseUser) -> TransactionResult {
    user.get("/").await?.response?.bytes().await?;
    Ok(())
}

fn report(metrics: &GooseMetrics) -> String {
    let requests: usize = metrics.requests.values().map(|request| request.success_count + request.fail_count).sum();
    // one path was asked for, so there is one kind of request
    let times = metrics.requests.values().next();
    let percentile = |share| times.map_or(0, |request| request.raw_data.percentile_us(share));
    let [p50, p90, p95, p99] = [0.5, 0.9, 0.95, 0.99].map(percentile);
    format!("{{\"requests\":{requests},\"p50\":{p50},\"p90\":{p90},\"p95\":{p95},\"p99\":{p99}}}")
}
