//! How long things took: an HDR histogram in microseconds with the exact maximum, and its compact form. Fed by
//! `recorder`, merged and asked by `summary`.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

/// Twelve days in microseconds; nothing that is measured here takes longer.
const LONGEST: u64 = 1 << 40;

/// A distribution of durations. Quantiles are within 1 % (cohorts of a window) or 0.1 % (a whole load) of the truth, the
/// maximum is exact to the microsecond.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    max: u64,
}

/// A distribution in HDR's own V2 encoding (zero runs and variable-length counts): some hundred bytes instead of 16 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    max: u64,
}

/// How finely a distribution tells values apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// 1 %: for the many small histograms over time.
    Coarse,
    /// 0.1 %: for totals.
    Fine,
}

impl Distribution {
    pub(super) fn new(precision: Precision) -> Self {
        let digits = match precision {
            Precision::Coarse => 2,
            Precision::Fine => 3,
        };
        Self { histogram: Histogram::new(digits).expect("2 and 3 digits are valid"), max: 0 }
    }

    pub(super) fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.max = self.max.max(micros);
        // not `saturating_record`: that one clips at the current size instead of growing
        self.histogram.record(micros).expect("an auto-resizing histogram takes every value up to the longest");
    }

    pub(super) fn clear(&mut self) {
        self.histogram.reset();
        self.max = 0;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("an auto-resizing histogram takes every other");
        self.max = self.max.max(other.max);
    }

    pub(super) fn add_packed(&mut self, packed: &Packed) {
        if packed.bytes.is_empty() {
            return;
        }
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut packed.bytes.as_ref()).expect("packed by this very module");
        self.histogram.add(&read).expect("an auto-resizing histogram takes every other");
        self.max = self.max.max(packed.max);
    }

    pub(super) fn pack(&self) -> Packed {
        if self.histogram.is_empty() {
            return Packed::default();
        }
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.histogram, &mut bytes).expect("a Vec takes every write");
        Packed { bytes: bytes.into_boxed_slice(), max: self.max }
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value that a share `quantile` (0 to 1) of all values does not exceed; none without values.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let value = self.histogram.value_at_quantile(quantile).min(self.max);
        (!self.histogram.is_empty()).then_some(Duration::from_micros(value))
    }

    /// The largest value, exactly; none without values.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then_some(Duration::from_micros(self.max))
    }

    /// The mean; none without values.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then(|| Duration::from_secs_f64(self.histogram.mean() / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(precision: Precision, micros: &[u64]) -> Distribution {
        let mut distribution = Distribution::new(precision);
        micros.iter().for_each(|value| distribution.record(Duration::from_micros(*value)));
        distribution
    }

    #[test]
    fn packing_and_merging_loses_nothing_but_precision() {
        let low = of(Precision::Coarse, &(0..1_000).collect::<Vec<_>>());
        let high = of(Precision::Coarse, &(1_000_000..1_000_100).collect::<Vec<_>>());
        let mut merged = Distribution::new(Precision::Coarse);
        merged.add_packed(&low.pack());
        merged.add_packed(&high.pack());
        merged.add_packed(&Packed::default());
        assert_eq!((merged.count(), merged.max()), (1_100, Some(Duration::from_micros(1_000_099))));
        let p50 = merged.quantile(0.5).unwrap().as_micros();
        assert!((545..=556).contains(&p50), "{p50}");
    }

    #[test]
    fn one_in_a_hundred_at_a_second_and_one_at_two_minutes_are_not_clipped_l04() {
        let mut values = vec![5_000; 9_899];
        values.extend([1_000_000; 100]);
        values.push(120_000_000);
        let distribution = of(Precision::Fine, &values);
        let near = |quantile, expected: f64| {
            let value = distribution.quantile(quantile).unwrap().as_secs_f64();
            assert!((value / expected - 1.0).abs() < 0.02, "{quantile}: {value}");
        };
        near(0.5, 0.005);
        near(0.995, 1.0);
        assert_eq!(distribution.max(), Some(Duration::from_secs(120)));
    }

    #[test]
    fn without_values_there_are_no_quantiles_l12() {
        let empty = Distribution::new(Precision::Fine);
        assert_eq!((empty.quantile(0.5), empty.max(), empty.mean()), (None, None, None));
    }
}
