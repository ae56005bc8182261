//! Puts the seed data of `stack.toml` into the service before any load, and knows which values generators may draw.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::load::{Generator, Journey, RequestTemplate};
use crate::plan::build::{LoadPlan, Place, drawn};
use crate::stack::spec::Seed;

const DEADLINE: Duration = Duration::from_secs(10);
/// Requests on their way at the same time.
const ABREAST: usize = 16;

/// The value of a seed's `key` field for each of its rows.
#[must_use]
pub fn values(seed: &Seed) -> Vec<String> {
    (1..=seed.count)
        .map(|n| {
            let row = row(&seed.json, n);
            row.get(&seed.key)
                .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect()
}

/// A load's requests and journeys with their seeds filled in.
#[must_use]
pub fn fill(load: &LoadPlan, seeds: &BTreeMap<String, Seed>) -> (Vec<RequestTemplate>, Vec<Journey>) {
    let (mut requests, mut journeys) = (load.requests.clone(), load.journeys.clone());
    for draw in &load.seeds {
        let request = match draw.place {
            Place::Request(index) => requests.get_mut(index),
            Place::Step(journey, step) => {
                journeys.get_mut(journey).and_then(|journey| journey.steps.get_mut(step)).map(|step| &mut step.request)
            }
        };
        if let (Some(request), Some(seed)) = (request, seeds.get(&draw.seed)) {
            let generator = match drawn(values(seed), draw.zipf) {
                Generator::Choice(values) => Generator::Seed(values),
                other => other,
            };
            request.with.insert(draw.placeholder.clone(), generator);
        }
    }
    (requests, journeys)
}

/// Posts every row of every seed to the service.
///
/// # Errors
/// In words, when the service does not take a row.
pub async fn plant(base: &str, seeds: &BTreeMap<String, Seed>) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .map_err(|error| format!("make a client: {error}"))?;
    for (name, seed) in seeds {
        let url = format!("{}{}", base.trim_end_matches('/'), seed.post);
        let url = url.as_str();
        let rows: Vec<u64> = (1..=seed.count).collect();
        for batch in rows.chunks(ABREAST) {
            let posts = batch.iter().map(|n| {
                let request = client.post(url).json(&row(&seed.json, *n));
                async move {
                    let answer = request.send().await.map_err(|error| format!("seed `{name}` to {url}: {error}"))?;
                    let status = answer.status();
                    let body = answer.text().await.unwrap_or_default();
                    if status.is_success() {
                        Ok(())
                    } else {
                        Err(format!("seed `{name}`: {url} answered {status}: {body}"))
                    }
                }
            });
            futures_util::future::try_join_all(posts).await?;
        }
    }
    Ok(())
}

/// The JSON of row `n`: `{n}` filled in everywhere.
fn row(template: &Value, n: u64) -> Value {
    match template {
        Value::String(text) => Value::String(text.replace("{n}", &n.to_string())),
        Value::Array(items) => Value::Array(items.iter().map(|item| row(item, n)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), row(value, n))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_seed_are_those_it_posts() {
        let json = serde_json::json!({"sku": "SKU-{n}", "quantity": 3});
        let seed = Seed { post: "/api/items".into(), json, count: 3, key: "sku".into() };
        assert_eq!(values(&seed), ["SKU-1", "SKU-2", "SKU-3"]);
    }
}
