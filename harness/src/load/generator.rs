//! Values for placeholders. Compiled from `spec::Generator`, drawn by `workload` once a request.

use std::fmt::Write as _;

use rand::Rng;
use rand::rngs::SmallRng;

use super::spec::Generator;

/// A generator with its state.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Uniform(Vec<String>),
    Range(i64, i64),
    /// Cumulative probabilities beside the values.
    Weighted(Vec<f64>, Vec<String>),
    Uuid,
    Sequence {
        next: i64,
        step: i64,
    },
    Cycle {
        next: usize,
        values: Vec<String>,
    },
}

impl Source {
    /// # Errors
    /// In words, when the generator can yield nothing.
    pub(super) fn compile(generator: &Generator) -> Result<Self, String> {
        let some = |values: &Vec<String>| match values.is_empty() {
            true => Err("it has no values to choose from".to_owned()),
            false => Ok(values.clone()),
        };
        Ok(match generator {
            Generator::Choice(values) => Self::Uniform(some(values)?),
            Generator::Range(low, high) if low > high => return Err(format!("the range {low}..{high} is empty")),
            Generator::Range(low, high) => Self::Range(*low, *high),
            Generator::Zipf { exponent, .. } if !exponent.is_finite() || *exponent < 0.0 => {
                return Err(format!("the zipf exponent {exponent} is not a number of at least 0"));
            }
            Generator::Zipf { exponent, from } => Self::Weighted(zipf(*exponent, from.len()), some(from)?),
            Generator::Uuid => Self::Uuid,
            Generator::Sequence { from, step } => Self::Sequence { next: *from, step: *step },
            Generator::Seed(values) => Self::Cycle { next: 0, values: some(values)? },
        })
    }

    /// Whether its values are numbers, which JSON writes without quotes.
    pub(super) const fn is_numeric(&self) -> bool {
        matches!(self, Self::Range(..) | Self::Sequence { .. })
    }

    /// Draws the next value into `out`.
    pub(super) fn draw(&mut self, rng: &mut SmallRng, out: &mut String) {
        out.clear();
        match self {
            Self::Uniform(values) => out.push_str(&values[rng.random_range(0..values.len())]),
            Self::Range(low, high) => push_number(out, rng.random_range(*low..=*high)),
            Self::Weighted(cumulative, values) => {
                let point = rng.random::<f64>();
                let index = cumulative.partition_point(|bound| *bound <= point);
                out.push_str(&values[index.min(values.len() - 1)]);
            }
            Self::Uuid => push_uuid(out, rng.random()),
            Self::Sequence { next, step } => {
                push_number(out, *next);
                *next = next.wrapping_add(*step);
            }
            Self::Cycle { next, values } => {
                out.push_str(&values[*next]);
                *next = (*next + 1) % values.len();
            }
        }
    }
}

fn zipf(exponent: f64, count: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut cumulative: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    cumulative.iter_mut().for_each(|bound| *bound /= sum);
    cumulative
}

fn push_number(out: &mut String, number: i64) {
    write!(out, "{number}").expect("a String takes every write");
}

fn push_uuid(out: &mut String, random: u128) {
    let bits = (random & !(0xf000 << 64) & !(0xc << 60)) | (0x4000 << 64) | (0x8 << 60);
    let hex = format!("{bits:032x}");
    for (index, part) in [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().enumerate() {
        if index > 0 {
            out.push('-');
        }
        out.push_str(&hex[part]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    fn drawn(generator: &Generator, count: usize) -> Vec<String> {
        let mut source = Source::compile(generator).unwrap();
        let mut rng = SmallRng::seed_from_u64(5);
        let mut value = String::new();
        (0..count)
            .map(|_| {
                source.draw(&mut rng, &mut value);
                value.clone()
            })
            .collect()
    }

    fn words(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("w{index}")).collect()
    }

    #[test]
    fn zipf_draws_the_kth_value_in_proportion_to_its_rank() {
        let values = drawn(&Generator::Zipf { exponent: 1.0, from: words(3) }, 22_000);
        let mut counts = BTreeMap::new();
        values.into_iter().for_each(|value| *counts.entry(value).or_insert(0_i32) += 1);
        for (value, expected) in [("w0", 12_000), ("w1", 6_000), ("w2", 4_000)] {
            assert!((counts[value] - expected).abs() < 300, "{value}: {}", counts[value]);
        }
    }

    #[test]
    fn ranges_include_both_ends_and_choices_all_values() {
        let range = drawn(&Generator::Range(-1, 1), 200);
        assert!(["-1", "0", "1"].iter().all(|value| range.iter().any(|drawn| drawn == value)));
        assert!(range.iter().all(|value| ["-1", "0", "1"].contains(&value.as_str())));
        let choice = drawn(&Generator::Choice(words(2)), 100);
        assert!(choice.contains(&"w0".to_owned()) && choice.contains(&"w1".to_owned()));
    }

    #[test]
    fn sequences_step_seeds_cycle_and_uuids_are_of_version_4() {
        assert_eq!(drawn(&Generator::Sequence { from: 5, step: -2 }, 3), ["5", "3", "1"]);
        assert_eq!(drawn(&Generator::Seed(words(2)), 3), ["w0", "w1", "w0"]);
        for uuid in drawn(&Generator::Uuid, 50) {
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert!(uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }

    #[test]
    fn generators_that_can_yield_nothing_are_refused() {
        for generator in [
            Generator::Choice(vec![]),
            Generator::Seed(vec![]),
            Generator::Zipf { exponent: 1.0, from: vec![] },
            Generator::Zipf { exponent: f64::NAN, from: words(1) },
            Generator::Range(2, 1),
        ] {
            assert!(Source::compile(&generator).is_err(), "{generator:?}");
        }
    }
}
