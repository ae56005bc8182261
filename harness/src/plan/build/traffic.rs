//! Loads: from as written to what the engine is given.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Builder, LoadPlan, Refused, SeedUse};
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
        let requests = written
            .request
            .iter()
            .enumerate()
            .map(|(index, request)| request_template(index, request, &mut seeds))
            .collect();
        if let Some(journey) = written.journey.first() {
            refused.push(self.refuse(&journey.name, "journeys are read, and cannot be run yet"));
        }
        Some(LoadPlan {
            name: written.name.get().clone(),
            model,
            ramp,
            timeout: written.timeout(),
            requests,
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
                let max_in_flight = usize::try_from(max_in_flight).unwrap_or(usize::MAX);
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
                let max_in_flight = usize::try_from(max_in_flight).unwrap_or(usize::MAX);
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

fn request_template(index: usize, written: &model::Request, seeds: &mut Vec<SeedUse>) -> load::RequestTemplate {
    let (method, path) = written.target().map_or(("GET", "/"), |(method, path)| (method.as_str(), path.get().as_str()));
    let mut with = BTreeMap::new();
    for (placeholder, generator) in &written.with {
        match generator_of(generator.get()) {
            Ok(generator) => {
                with.insert(placeholder.clone(), generator);
            }
            Err((seed, zipf)) => seeds.push(SeedUse { request: index, placeholder: placeholder.clone(), seed, zipf }),
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
        expect: load::Checks { status: written.expect.status.clone(), ..load::Checks::default() },
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
