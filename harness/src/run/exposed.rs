//! Gathers what `that.series` is judged by: raw samples, the target's scrapes, Prometheus's metadata, and what the target
//! itself serves when it is asked directly.

use std::collections::BTreeSet;
use std::time::Duration;

use super::count::raw_since;
use super::gather::{Sources, scrapes, unanswered};
use crate::clock::Stamp;
use crate::expect::Window;
use crate::expect::dashboard::board::interval;
use crate::expect::series::{self, Seen, Served, Target};
use crate::outcome::Outcome;
use crate::telemetry::http::{Accept, Endpoint, Settings, exposition_as};
use crate::telemetry::prometheus::Series;
use crate::telemetry::{Error, exposition::Exposition};

/// How long a target may take to serve its metrics to the harness.
const PATIENCE: Duration = Duration::from_secs(3);
/// Names that Prometheus makes itself, and recorded series: they move although the target does not.
const NOT_SERVED: &str = "up|scrape_.*|ALERTS|ALERTS_FOR_STATE|.*:.*";

/// Judges a series expectation.
pub async fn judge(spec: &series::Series, window: Window, from: Sources<'_>) -> Outcome {
    match look(spec, window, from).await {
        Ok(seen) => series::judge(spec, window, &seen, from.time),
        Err(error) => unanswered("Prometheus", &error),
    }
}

async fn look(spec: &series::Series, window: Window, from: Sources<'_>) -> Result<Seen, Error> {
    let until = window.end.min(from.settled);
    let begun = from.about.begun.min(window.start);
    let name = &spec.metric;
    let selector = format!("{{__name__=~\"{name}|{name}_bucket|{name}_sum|{name}_count\"}}");
    let found = raw_since(from.prometheus, &selector, begun, until, from.scrape).await?;
    let answered = (!from.loads.is_empty())
        .then(|| from.loads.values().map(|it| it.between(window.effective, window.end).flow(None).completed).sum());
    let mut metadata = from.prometheus.metadata(name).await?;
    if let Some(stem) = name.strip_suffix("_total").filter(|_| metadata.is_empty()) {
        metadata = from.prometheus.metadata(stem).await?;
    }
    let (targets, served) = targets(&found, window, begun, until, from).await?;
    let signals = from.signals;
    let requests = signals.requests.as_ref().is_some_and(|it| it.metric == *name);
    let latency = signals.latency.as_ref().is_some_and(|it| it.metric == *name);
    Ok(Seen {
        series: found,
        targets,
        metadata,
        served,
        coverage: scrapes(from, window).await?,
        answered,
        follows_load: requests || latency,
    })
}

/// Job and instance.
type Place = (String, String);

fn place(series: &Series) -> Place {
    let label = |name: &str| series.labels.get(name).cloned().unwrap_or_default();
    (label("job"), label("instance"))
}

/// The targets that serve the metric; while nobody does, the service's own.
async fn targets(
    found: &[Series],
    window: Window,
    begun: Stamp,
    until: Stamp,
    from: Sources<'_>,
) -> Result<(Vec<Target>, Vec<Served>), Error> {
    let ups = raw_since(from.prometheus, "up", begun, until, from.scrape).await?;
    let durations = raw_since(from.prometheus, "scrape_duration_seconds", begun, until, from.scrape).await?;
    let known = from.prometheus.targets().await?.value;
    let serving: BTreeSet<Place> = found.iter().map(place).collect();
    let own = from.signals.target.as_ref().map(|target| target.job.as_str());
    let wanted = |place: &Place| {
        if serving.is_empty() { own == Some(place.0.as_str()) } else { serving.contains(place) }
    };
    let mut targets = Vec::new();
    let mut served = Vec::new();
    for up in ups.iter().filter(|up| wanted(&place(up))) {
        let here = place(up);
        let described = known.iter().find(|target| {
            let label = |name: &str| target.labels.get(name).map_or("", String::as_str);
            (label("job"), label("instance")) == (here.0.as_str(), here.1.as_str())
        });
        let samples = |series: &Series| series.points.iter().map(|point| (point.at, point.value)).collect();
        let took = durations.iter().find(|it| place(it) == here);
        targets.push(Target {
            instance: here.1.clone(),
            ups: samples(up),
            durations: took.map(samples).unwrap_or_default(),
            timeout: described.and_then(|target| interval(&target.timeout)).unwrap_or_default(),
            moved: moved(&here, window, until, from).await?,
        });
        if let Some(url) = described.map(|target| target.url.clone()) {
            served.extend(serve(&url).await);
        }
    }
    Ok((targets, served))
}

/// How many series of a target changed in the window, and how many it has.
async fn moved(place: &Place, window: Window, until: Stamp, from: Sources<'_>) -> Result<Option<(u64, u64)>, Error> {
    let length = until.since(window.start).as_millis();
    if length == 0 {
        return Ok(None);
    }
    let selector = format!("{{job={:?},instance={:?},__name__!~\"{NOT_SERVED}\"}}[{length}ms]", place.0, place.1);
    let series = from.prometheus.range_raw(&selector, until).await?.value;
    let still = |one: &Series| one.points.windows(2).all(|pair| pair[0].value.to_bits() == pair[1].value.to_bits());
    let moved = series.iter().filter(|one| !still(one)).count();
    Ok(Some((moved as u64, series.len() as u64)))
}

/// Asks a target directly, in both formats; none where it cannot be reached from here.
async fn serve(url: &str) -> Option<Served> {
    let scheme = url.find("://")? + 3;
    let path = url[scheme..].find('/').map_or(url.len(), |at| scheme + at);
    let settings = Settings { deadline: PATIENCE, ..Settings::default() };
    let endpoint = Endpoint::new(&url[..path], settings).ok()?;
    let read = async |accept| -> Option<Exposition> { exposition_as(&endpoint, &url[path..], accept).await.ok() };
    let text = read(Accept::Text).await?;
    let open = read(Accept::OpenMetrics).await;
    Some(Served { url: url.to_owned(), open_metrics: open, text })
}
