//! Expectations on messages: heartbeats, and what holds a message back.

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::duration::human;
use crate::scenario::model::{Expectation, Heartbeat, Inhibition, Injection, Mode, NotificationExpectation, That};
use crate::scenario::suggest;

impl Linter<'_> {
    pub(super) fn notification(&mut self, expectation: &Expectation, notification: &NotificationExpectation) {
        self.receiver(&notification.receiver);
        self.alert(&notification.alert);
        self.counted_from_a_fault(expectation, &[&notification.within]);
        if let Some(bounds) = self.surroundings.bounds.get(notification.alert.get()) {
            self.promise("arrives", expectation.within(), bounds.notified.as_ref());
            self.too_short(expectation, &notification.alert, bounds);
        }
        let never = expectation.mode() == Mode::Never;
        for count in [&notification.count, &notification.alerts].into_iter().flatten().filter(|_| never) {
            self.error(Code::Contradiction, count, "a message that must never come has no count");
        }
    }

    pub(super) fn heartbeat(&mut self, expectation: &Expectation, heartbeat: &Heartbeat) {
        self.receiver(&heartbeat.receiver);
        self.alert(&heartbeat.alert);
        self.own_times(expectation);
        self.counted_from_a_fault(expectation, &[&heartbeat.missed_within]);
        self.beats_too_slowly(heartbeat);
        if let Some(missed) = &heartbeat.missed_within {
            if missed.0 < heartbeat.every.0 {
                let message = format!("a beat that comes every {} cannot be missed within {missed}", heartbeat.every);
                let finding = Finding::error(Code::Unsatisfiable, missed.span(), message);
                return self.report(finding.label(heartbeat.every.span(), "the beat"));
            }
            if let Some(length) = self.length(&expectation.during).filter(|length| missed.0 > *length) {
                let message = format!(
                    "`missed-within` {missed} is longer than the window `{}`, which lasts {}: it may beat again before anybody notices",
                    *expectation.during,
                    human(length)
                );
                return self.error(Code::WithinTooLong, missed, message);
            }
        }
        let steady = match heartbeat.missed_within {
            Some(_) => Some(self.scenario.baseline()),
            None => self.length(&expectation.during),
        };
        if let Some(length) = steady.filter(|length| heartbeat.every.0 > *length) {
            let message = format!("a beat every {} cannot be seen in {}", heartbeat.every, human(length));
            self.error(Code::WithinTooLong, &heartbeat.every, message);
        }
    }

    /// Alertmanager repeats at ticks of the group only; a promise below that would flake.
    fn beats_too_slowly(&mut self, heartbeat: &Heartbeat) {
        let bounds = self.surroundings.bounds.get(heartbeat.alert.get());
        let Some(repeats) = bounds.and_then(|bounds| bounds.repeats.get(heartbeat.receiver.get())) else { return };
        if heartbeat.every.0 < *repeats {
            let message = format!(
                "a beat every {} is promised, and the routing tree repeats every {} (`repeat_interval`, up to the next `group_interval`)",
                heartbeat.every,
                human(*repeats)
            );
            let finding = Finding::error(Code::PromiseTooTight, heartbeat.every.span(), message);
            self.report(finding.help("promise a little more than the repetition, or repeat more often"));
        }
    }

    pub(super) fn inhibition(&mut self, expectation: &Expectation, inhibition: &Inhibition) {
        self.alert(&inhibition.alert);
        self.alert(&inhibition.by);
        self.own_times(expectation);
        inhibition.receiver.iter().for_each(|receiver| self.receiver(receiver));
        if inhibition.alert == inhibition.by {
            self.error(Code::Contradiction, &inhibition.by, "an alert cannot suppress itself");
        }
    }

    /// A silence or a mute time that an expectation is about has to be placed by a fault of its window.
    pub(super) fn held_back(
        &mut self,
        expectation: &Expectation,
        alert: &Spanned<String>,
        receiver: &Spanned<String>,
        placed: fn(&Injection) -> bool,
    ) {
        self.alert(alert);
        self.receiver(receiver);
        self.own_times(expectation);
        let faults = expectation.during.faults();
        let known: Vec<_> = faults.iter().filter_map(|id| self.scenario.fault(id)).collect();
        if known.len() == faults.len() && !known.iter().any(|fault| placed(fault.inject.get())) {
            let kind = expectation.that.kind();
            let message =
                format!("nothing places a {} in the window `{}`", kind.replace('-', " "), *expectation.during);
            let finding = Finding::error(Code::Contradiction, expectation.during.span(), message);
            self.report(finding.help(format!("name the fault with `inject.{kind} = {{ … }}`")));
        }
    }

    /// These are judged over the whole window, with times of their own.
    fn own_times(&mut self, expectation: &Expectation) {
        if let Some(within) = &expectation.within {
            let message = format!("`{}` has no `within`: it is judged over the whole window", expectation.that.kind());
            self.error(Code::Contradiction, within, message);
        }
    }

    pub(super) fn interval(&mut self, name: &Spanned<String>) {
        let Some(intervals) = &self.surroundings.intervals else { return };
        if !intervals.contains(name.get()) {
            let help = suggest::help(name, "intervals", intervals.iter().map(String::as_str));
            let message = format!("no route of Alertmanager names the time interval `{name}`");
            self.report(Finding::error(Code::UnknownValue, name.span(), message).help(help));
        }
    }

    pub(super) fn that_message(&mut self, expectation: &Expectation) {
        match expectation.that.get() {
            That::Notification(notification) => self.notification(expectation, notification),
            That::Heartbeat(heartbeat) => self.heartbeat(expectation, heartbeat),
            That::Inhibition(inhibition) => self.inhibition(expectation, inhibition),
            That::Silence(it) => {
                self.held_back(expectation, &it.alert, &it.receiver, |inject| matches!(inject, Injection::Silence(_)));
            }
            That::MuteTime(it) => {
                self.held_back(expectation, &it.alert, &it.receiver, |inject| matches!(inject, Injection::MuteTime(_)));
            }
            _ => {}
        }
    }
}
