//! Exit codes, a documented list, and which of several wins. See `docs/outcomes.md`.

use crate::event::Verdict;

/// The order in which codes win over each other in a suite.
const PRECEDENCE: [u8; 8] = [70, 130, 2, 1, 4, 3, 5, 0];

impl Verdict {
    /// The process exit code of a single scenario with this verdict; a skipped one checked nothing.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 2,
            Self::Inconclusive | Self::Skipped => 3,
            Self::Environment => 4,
            Self::Leftovers => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// The exit code of a suite: the first that applies of 70, 130, 2, 1, 4, 3, 5, 0. Skipped scenarios do not count unless
/// all were skipped; a suite of nothing is inconclusive.
#[must_use]
pub fn of_suite(verdicts: &[Verdict]) -> u8 {
    let ran: Vec<u8> =
        verdicts.iter().filter(|verdict| **verdict != Verdict::Skipped).map(|verdict| verdict.exit_code()).collect();
    if ran.is_empty() {
        return Verdict::Inconclusive.exit_code();
    }
    PRECEDENCE.into_iter().find(|code| ran.contains(code)).unwrap_or(70)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_wins_over_an_environment_error_and_a_bug_over_all() {
        assert_eq!(of_suite(&[Verdict::Pass, Verdict::Environment, Verdict::Fail]), 1);
        assert_eq!(of_suite(&[Verdict::Interrupted, Verdict::Bug]), 70);
        assert_eq!(of_suite(&[Verdict::Pass, Verdict::Leftovers]), 5);
        assert_eq!(of_suite(&[Verdict::Pass, Verdict::Skipped]), 0);
    }

    #[test]
    fn a_suite_that_checked_nothing_is_never_green() {
        assert_eq!(of_suite(&[]), 3);
        assert_eq!(of_suite(&[Verdict::Skipped, Verdict::Skipped]), 3);
    }
}
