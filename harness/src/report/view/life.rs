//! What happened to a component and what it used, folded from events.

use crate::clock::Stamp;
use crate::event::{Change, ComponentSample};

/// A component's life in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Life {
    /// What happened to it: when, what, what else is known.
    pub changes: Vec<(Stamp, Change, String)>,
    /// What it used; none when nobody could look.
    pub used: Option<Used>,
}

/// What a component used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// Cores, on average.
    pub cpu: f64,
    /// Cores, in its busiest second.
    pub peak_cpu: f64,
    /// Bytes at most.
    pub peak_memory: u64,
    /// How often it was looked at.
    pub samples: u32,
}

impl Life {
    /// Takes in a look at what it uses.
    pub(super) fn sampled(&mut self, sample: &ComponentSample) {
        let used = self.used.get_or_insert(Used { cpu: 0.0, peak_cpu: 0.0, peak_memory: 0, samples: 0 });
        used.samples += 1;
        used.cpu += (sample.cpu - used.cpu) / f64::from(used.samples);
        used.peak_cpu = used.peak_cpu.max(sample.cpu);
        used.peak_memory = used.peak_memory.max(sample.memory);
    }

    /// How often it was started again.
    #[must_use]
    pub fn restarts(&self) -> usize {
        self.count(Change::Started).saturating_sub(1)
    }

    /// How often the kernel ended one of its processes for lack of memory.
    #[must_use]
    pub fn out_of_memory(&self) -> usize {
        self.count(Change::OutOfMemory)
    }

    fn count(&self, wanted: Change) -> usize {
        self.changes.iter().filter(|(_, change, _)| *change == wanted).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_averages_peaks_and_counts() {
        let mut life = Life::default();
        for (cpu, memory) in [(0.2, 10), (1.0, 30), (0.3, 20)] {
            life.sampled(&ComponentSample { cpu, memory, processes: 1 });
        }
        let used = life.used.unwrap();
        assert!((used.cpu - 0.5).abs() < 1e-9);
        assert_eq!((used.peak_memory, used.samples), (30, 3));
        let changes = [Change::Started, Change::OutOfMemory, Change::Ended, Change::Started];
        life.changes = changes.map(|change| (Stamp(0), change, String::new())).to_vec();
        assert_eq!((life.restarts(), life.out_of_memory()), (1, 1));
    }
}
