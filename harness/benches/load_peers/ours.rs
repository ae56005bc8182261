//! The child processes that are our generator.

use std::time::Duration;

use harness::clock::Clock;
use harness::load::command::{Options, Pace, Report, run as attack};
use harness::load::{Arrivals, Model, Reach, RequestTemplate, Spec, Target, start};

use crate::Anyhow;

pub(crate) fn runtime() -> Anyhow<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// As `harness load` does it.
pub(crate) fn run(pace: &str, value: &str, seconds: &str, url: &str) -> Anyhow<()> {
    let pace = match pace {
        "connections" => Pace::Connections(value.parse()?),
        _ => {
            Pace::Rate { rate: value.parse()?, ramp: Duration::ZERO, arrivals: Arrivals::Constant, max_in_flight: None }
        }
    };
    let options = Options::new(url, pace, Duration::from_secs(seconds.parse()?));
    let summary = runtime()?.block_on(attack(&options, Clock::start(), |_| (), std::future::pending()))?;
    println!("{}", serde_json::to_string(&Report::from(&summary))?);
    Ok(())
}

/// Runs an exact number of seconds and says how many were sent in each.
pub(crate) fn hold(rate: f64, seconds: u64, url: &str) -> Anyhow<()> {
    let target = Target::resolve(url.trim_end_matches('/'), Reach::Loopback)?;
    let mut spec = Spec::new("held", target, Model::steady(rate, 10_000), vec![RequestTemplate::get("/")]);
    spec.lasts = Some(Duration::from_secs(seconds));
    let (summary, sent) = runtime()?.block_on(async {
        let mut handle = start(spec, Clock::start())?;
        let mut sent = Vec::new();
        for _ in 0..seconds {
            sent.push(handle.samples().recv().await.ok_or("the engine ended early")?.started);
        }
        handle.finished().await;
        Ok::<_, Box<dyn std::error::Error>>((handle.stop(Duration::ZERO).await, sent))
    })?;
    let lag = |quantile| summary.whole().lag().quantile(quantile).map_or(0, |lag| lag.as_micros());
    let lags = [0.5, 0.99, 1.0].map(lag);
    println!("{}", serde_json::json!({ "sent": sent, "total": summary.flow.started, "lag-us": lags }));
    Ok(())
}
