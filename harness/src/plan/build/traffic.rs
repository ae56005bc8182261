//! Loads: from as written to what the engine is given.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Builder, LoadPlan, Place, Refused, SeedUse};
use crate::load;
use crate::scenario::model::{self, Pace};

impl Builder<'_> {
    pub(super) fn load(&self, written: &model::Load, refused: &mut Vec<Refused>) -> Option<LoadPlan> {
        let (model, ramp) = match self.pace(written) {
            Ok(pace) => pace,
            Err(error) => {
                refused.push(error);
                return None;
            }
        };
        let mut seeds = Vec::new();
        let requests = written.request.iter().enumerate();
        let requests = requests.map(|(index, it)| request_template(Place::Request(index), it, &mut seeds)).collect();
        let journeys = written.journey.iter().enumerate();
        let journeys = journeys.map(|(index, journey)| journey_of(index, journey, &mut seeds)).collect();
        Some(LoadPlan {
            name: written.name.get().clone(),
            model,
            ramp,
            timeout: written.timeout(),
            protocol: match written.http {
                model::Http::One => load::Protocol::Http1,
                model::Http::Two => load::Protocol::Http2,
                model::Http::Auto => load::Protocol::Negotiated,
            },
            requests,
            journeys,
            seeds,
            seed: written.seed.unwrap_or(1),
        })
    }

    fn pace(&self, written: &model::Load) -> Result<(load::Model, Duration), Refused> {
        let arrivals = |arrivals| match arrivals {
            model::Arrivals::Constant => load::Arrivals::Constant,
            model::Arrivals::Poisson => load::Arrivals::Poisson,
        };
        match written.pace() {
            Some(Pace::Rate { rate, ramp, arrivals: kind, max_in_flight }) => {
                let ramp = self.real(ramp);
                let stages = vec![load::Stage { from: 0.0, to: rate, over: ramp }];
                let max_in_flight = most_in_flight(max_in_flight, rate, written.timeout());
                Ok((load::Model::Open { stages, arrivals: arrivals(kind), max_in_flight }, ramp))
            }
            Some(Pace::Stages { stages, arrivals: kind, max_in_flight }) => {
                let mut from = 0.0;
                let stages: Vec<load::Stage> = stages
                    .iter()
                    .map(|stage| {
                        let stage = load::Stage { from, to: *stage.to.get(), over: self.real(stage.over.0) };
                        from = stage.to;
                        stage
                    })
                    .collect();
                let ramp = stages.first().map_or(Duration::ZERO, |stage| stage.over);
                let fastest = stages.iter().map(|stage| stage.to).fold(0.0, f64::max);
                let max_in_flight = most_in_flight(max_in_flight, fastest, written.timeout());
                Ok((load::Model::Open { stages, arrivals: arrivals(kind), max_in_flight }, ramp))
            }
            Some(Pace::Users(closed)) => {
                let ramp = self.real(closed.ramp.0);
                let count = usize::try_from(closed.users).unwrap_or(usize::MAX);
                Ok((load::Model::Users { count, ramp, think: closed.think.0 }, ramp))
            }
            None => Err(self.refuse(&written.name, "a load has exactly one of `open`, `closed` and `stages`")),
        }
    }
}

fn most_in_flight(written: Option<u32>, rate: f64, timeout: Duration) -> usize {
    let usual = || load::Model::usual_max_in_flight(rate, timeout);
    written.map_or_else(usual, |written| usize::try_from(written).unwrap_or(usize::MAX))
}

fn journey_of(journey: usize, written: &model::Journey, seeds: &mut Vec<SeedUse>) -> load::Journey {
    let step = |(index, request): (usize, &model::Request)| load::Step {
        request: request_template(Place::Step(journey, index), request, seeds),
        capture: request.capture.iter().map(|(name, pointer)| (name.clone(), pointer.get().clone())).collect(),
    };
    let steps = written.step.iter().enumerate().map(step).collect();
    load::Journey { name: written.name.get().clone(), weight: written.weight(), steps }
}

fn request_template(place: Place, written: &model::Request, seeds: &mut Vec<SeedUse>) -> load::RequestTemplate {
    let (method, path) = written.target().map_or(("GET", "/"), |(method, path)| (method.as_str(), path.get().as_str()));
    let mut with = BTreeMap::new();
    for (placeholder, generator) in &written.with {
        match generator_of(generator.get()) {
            Ok(generator) => {
                with.insert(placeholder.clone(), generator);
            }
            Err((seed, zipf)) => seeds.push(SeedUse { place, placeholder: placeholder.clone(), seed, zipf }),
        }
    }
    load::RequestTemplate {
        name: written.name.get().clone(),
        weight: written.weight(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: written.headers.iter().map(|(name, value)| (name.clone(), value.get().clone())).collect(),
        json: written.json.as_ref().map(|json| json.get().clone()),
        with,
        expect: load::Checks {
            status: written.expect.status.clone(),
            body_contains: written.expect.contains.as_ref().map(|text| text.get().clone()),
            json: written.expect.json.iter().map(|(pointer, value)| (pointer.clone(), value.get().clone())).collect(),
        },
    }
}

/// The engine's generator, or the seed (and zipf exponent) that has to be filled in first.
fn generator_of(written: &model::Generator) -> Result<load::Generator, (String, Option<f64>)> {
    let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match written {
        model::Generator::Uuid => Ok(load::Generator::Uuid),
        model::Generator::Sequence { start } => {
            Ok(load::Generator::Sequence { from: i64::try_from(*start).unwrap_or(i64::MAX), step: 1 })
        }
        model::Generator::From { population, draw } => {
            let zipf = match draw {
                model::Draw::Uniform => None,
                model::Draw::Zipf { exponent } => Some(*exponent),
            };
            match population {
                model::Population::Seed(name) => Err((name.clone(), zipf)),
                model::Population::Range { low, high } if zipf.is_none() => Ok(load::Generator::Range(*low, *high)),
                model::Population::Range { low, high } => {
                    Ok(drawn((*low..=*high).map(|number| number.to_string()).collect(), zipf))
                }
                model::Population::Choice(values) => Ok(drawn(values.iter().map(plain).collect(), zipf)),
            }
        }
    }
}

/// A generator over a list of values.
#[must_use]
pub fn drawn(values: Vec<String>, zipf: Option<f64>) -> load::Generator {
    match zipf {
        Some(exponent) => load::Generator::Zipf { exponent, from: values },
        None => load::Generator::Choice(values),
    }
}
