//! Journeys under way: which step comes next, and what was captured from the answers so far. Used by `engine`.

use super::workload::Workload;

/// The visits that are under way; indices are reused.
#[derive(Debug, Default)]
pub(super) struct Visits {
    places: Vec<Visit>,
    free: Vec<usize>,
}

/// One pass through a journey.
#[derive(Debug, Default)]
struct Visit {
    journey: usize,
    step: usize,
    captured: Vec<String>,
}

impl Visits {
    /// Begins a journey.
    pub(super) fn begin(&mut self, journey: usize, captures: usize) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Visit::default());
            self.places.len() - 1
        });
        let visit = &mut self.places[index];
        (visit.journey, visit.step) = (journey, 0);
        visit.captured.clear();
        visit.captured.resize(captures, String::new());
        index
    }

    /// The request of the current step.
    pub(super) fn request(&self, index: usize, workload: &Workload) -> usize {
        let visit = &self.places[index];
        workload.step(visit.journey, visit.step)
    }

    /// What was captured so far.
    pub(super) fn captured(&self, index: usize) -> &[String] {
        &self.places[index].captured
    }

    /// Keeps what was captured.
    pub(super) fn keep(&mut self, index: usize, captured: Vec<(usize, String)>) {
        let visit = &mut self.places[index];
        captured.into_iter().for_each(|(place, value)| visit.captured[place] = value);
    }

    /// Goes to the next step; none when the journey is over, and the visit with it.
    pub(super) fn go_on(&mut self, index: usize, workload: &Workload) -> Option<usize> {
        let visit = &mut self.places[index];
        visit.step += 1;
        if visit.step < workload.steps(visit.journey) {
            return Some(index);
        }
        self.end(index);
        None
    }

    /// Ends a visit early.
    pub(super) fn end(&mut self, index: usize) {
        self.free.push(index);
    }
}
