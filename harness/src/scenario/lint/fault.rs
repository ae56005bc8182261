//! Faults: ids, targets, settings that belong together, and faults that undo each other.

use std::time::Duration;

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::duration::human;
use crate::scenario::model::{FIXED_WINDOWS, Fault, Injection};
use crate::scenario::quantity::Share;
use crate::scenario::suggest;

/// The longest scenario.
const LONGEST: Duration = Duration::from_hours(24 * 7);

impl Linter<'_> {
    pub(super) fn faults(&mut self) {
        let faults = &self.scenario.fault;
        self.unique(faults.iter().map(|fault| &fault.id), "fault id");
        for fault in faults {
            self.fault(fault);
            self.injection(&fault.inject);
        }
        for (index, later) in faults.iter().enumerate() {
            faults[..index].iter().for_each(|earlier| self.overlap(earlier, later));
        }
    }

    fn fault(&mut self, fault: &Fault) {
        if FIXED_WINDOWS.contains(&fault.id.as_str()) {
            let message = format!("`{}` is the name of a window, no fault can be called so", fault.id);
            self.error(Code::InvalidName, &fault.id, message);
        }
        let kind = fault.inject.kind();
        if fault.r#for.is_none() && !matches!(kind, "restart" | "rolling-restart") {
            let message = format!("the fault `{}` does not say how long it lasts", fault.id);
            let finding = Finding::error(Code::MissingKey, fault.id.span(), message);
            self.report(finding.help("every fault ends: write `for = \"15m\"`"));
        }
        let length = self.scenario.baseline() + fault.ends() + self.scenario.recovery();
        if length > LONGEST {
            let at = fault.at.as_ref().or(fault.r#for.as_ref());
            let span = at.map_or(fault.id.span(), Spanned::span);
            let message = format!(
                "with `{}` the scenario lasts {}, at most {} are possible",
                fault.id,
                human(length),
                human(LONGEST)
            );
            self.report(Finding::error(Code::TimelineTooLong, span, message));
        }
    }

    fn injection(&mut self, inject: &Spanned<Injection>) {
        if let Some(target) = inject.target() {
            self.component(target);
            if target.starts_with("receiver:") && !matches!(inject.kind(), "stop" | "errors" | "slow") {
                let message = format!(
                    "a receiver's inbox can be stopped, answer with errors or be slow, but not `{}`",
                    inject.kind()
                );
                self.error(Code::Contradiction, target, message);
            }
        }
        self.network(inject);
        self.switch(inject);
        self.settings(inject);
    }

    fn network(&mut self, inject: &Spanned<Injection>) {
        match inject.network().map(|place| (place.on, place.target)) {
            Some((None, None)) => {
                self.error(Code::OneOf, inject, format!("`{}` needs `on` or `target`", inject.kind()))
            }
            Some((Some(on), Some(target))) => {
                let message = format!("`{}` has either `on` or `target`", inject.kind());
                self.report(Finding::error(Code::OneOf, target.span(), message).label(on.span(), "the other one"));
            }
            _ => {}
        }
        let (Some(on), Some((from, to))) = (inject.on(), inject.ends()) else { return };
        if let Some(receiver) = to.strip_prefix("receiver:") {
            return self.on_the_way_to_a_receiver(inject, on, receiver);
        }
        let Some(links) = &self.surroundings.links else { return };
        if links.iter().any(|link| link.from == from && link.to == to) {
            return;
        }
        let written = format!("{from} -> {to}");
        let known: Vec<String> = links.iter().map(|link| format!("{} -> {}", link.from, link.to)).collect();
        let help = suggest::help(&written, "links", known.iter().map(String::as_str));
        let message = format!("there is no link `{written}` in the stack");
        self.report(Finding::error(Code::UnknownLink, on.span(), message).help(help));
    }

    /// The way from Alertmanager to a receiver's inbox is no link of the stack; the inbox itself answers otherwise.
    fn on_the_way_to_a_receiver(&mut self, inject: &Spanned<Injection>, on: &Spanned<String>, receiver: &str) {
        self.receiver_called(on, receiver);
        match inject.get() {
            Injection::Http(fault) => {
                if let Some(share) = &fault.share {
                    let message = "a receiver's inbox has no `share`; write `first` for so many messages";
                    self.error(Code::Contradiction, share, message.to_owned());
                }
            }
            other => {
                let message =
                    format!("on the way to a receiver's inbox only `http` can be injected, not `{}`", other.kind());
                self.error(Code::Contradiction, on, message);
            }
        }
    }

    fn switch(&mut self, inject: &Spanned<Injection>) {
        let (Some(call), Some(components)) = (inject.switch(), &self.surroundings.components) else { return };
        let target = call.target.map(Spanned::get).or(self.surroundings.service.as_ref());
        let Some(component) = target.and_then(|target| components.get(target)) else { return };
        if !component.switches.contains(call.name) {
            let help = suggest::help(call.name, "switches", component.switches.iter().map(String::as_str));
            let message = format!("`{}` has no switch `{}` in the stack", target.map_or("", String::as_str), call.name);
            self.report(Finding::error(Code::UnknownSwitch, inject.span(), message).help(help));
        }
    }

    fn settings(&mut self, inject: &Spanned<Injection>) {
        let one_of = |message: &str| Finding::error(Code::OneOf, inject.span(), message);
        match inject.get() {
            Injection::Http(fault) if fault.status.is_none() && fault.delay.is_none_or(|delay| delay.is_zero()) => {
                self.report(one_of("`http` needs `status`, `delay` or both"));
            }
            Injection::Http(fault) => self.share(fault.share.as_ref()),
            Injection::Loss(fault) | Injection::Corrupt(fault) => self.share(Some(&fault.share)),
            Injection::Errors(fault) => self.share(fault.share.as_ref()),
            Injection::Slow(fault) => self.share(fault.share.as_ref()),
            Injection::Reset(fault) => self.share(fault.share.as_ref()),
            Injection::Cpu(fault) if fault.burn.is_some() == fault.limit.is_some() => {
                self.report(one_of("`cpu` needs either `burn` or `limit`"));
            }
            Injection::Config(fault) if fault.set.is_empty() == fault.replace.is_empty() => {
                self.report(one_of("`config` needs either `set` or `replace`"));
            }
            Injection::Load(fault) => {
                self.load_named(&fault.name);
                if (*fault.factor.get() - 1.0).abs() < f64::EPSILON {
                    self.error(Code::Ineffective, &fault.factor, "a load times 1 is what it was");
                }
            }
            Injection::MuteTime(fault) => self.interval(&fault.interval),
            Injection::Silence(fault) => {
                for matcher in fault.matchers.iter().filter(|matcher| !is_matcher(matcher)) {
                    let message = format!("`{matcher}` is no matcher such as alertname=\"InventoryDown\"");
                    self.error(Code::InvalidValue, &fault.matchers, message);
                }
            }
            Injection::Kill(fault)
            | Injection::Stop(fault)
            | Injection::Pause(fault)
            | Injection::Restart(fault)
            | Injection::Oom(fault) => self.replica(&fault.target, fault.replica),
            _ => {}
        }
    }

    fn share(&mut self, share: Option<&Spanned<Share>>) {
        if let Some(share) = share.filter(|share| share.0 == 0.0) {
            self.error(Code::Ineffective, share, "a share of zero does nothing");
        }
    }

    fn replica(&mut self, target: &Spanned<String>, replica: Option<u32>) {
        let component = self.surroundings.components.as_ref().and_then(|all| all.get(target.get()));
        let (Some(component), Some(replica)) = (component, replica) else { return };
        if replica > component.replicas.max(1) {
            let message = format!("`{target}` has no replica {replica}, it runs {}", component.replicas.max(1));
            self.error(Code::OutOfRange, target, message);
        }
    }

    pub(super) fn load_named(&mut self, name: &Spanned<String>) {
        if self.scenario.load.iter().any(|load| load.name.get() == name.get()) {
            return;
        }
        let names = self.scenario.load.iter().map(|load| load.name.as_str());
        let finding = Finding::error(Code::UnknownLoad, name.span(), format!("the scenario has no load `{name}`"));
        self.report(finding.help(suggest::help(name, "loads", names)));
    }

    fn overlap(&mut self, earlier: &Fault, later: &Fault) {
        if !at_the_same_time(earlier, later) {
            return;
        }
        let service = self.surroundings.service.as_deref();
        let (first, second) = (seat(&earlier.inject, service), seat(&later.inject, service));
        let message = if first == second {
            format!(
                "`{}` and `{}` both change {second} at the same time, so that undoing one undoes the other",
                earlier.id, later.id
            )
        } else if let Some(component) =
            lost_switch(earlier, later, service).or_else(|| lost_switch(later, earlier, service))
        {
            format!(
                "`{}` and `{}` overlap, and a switch of `{component}` is lost when its process ends",
                earlier.id, later.id
            )
        } else {
            return;
        };
        let span = later.at.as_ref().map_or(later.id.span(), Spanned::span);
        self.report(Finding::error(Code::OverlappingFaults, span, message).label(earlier.id.span(), "the other fault"));
    }
}

fn at_the_same_time(a: &Fault, b: &Fault) -> bool {
    let starts = a.starts().max(b.starts());
    let ends = a.ends().min(b.ends());
    starts < ends || (a.starts() == b.starts()) || (starts == ends && (a.lasts().is_zero() || b.lasts().is_zero()))
}

/// What a fault changes; two faults on the same cannot be undone apart.
fn seat(inject: &Injection, service: Option<&str>) -> String {
    let kind = inject.kind();
    let target = inject.target().map_or("", |target| target.as_str());
    match inject {
        Injection::Kill(_)
        | Injection::Stop(_)
        | Injection::Restart(_)
        | Injection::Pause(_)
        | Injection::Oom(_)
        | Injection::RollingRestart(_)
        | Injection::Scale(_) => format!("the processes of `{target}`"),
        Injection::Load(fault) => format!("the load `{}`", fault.name),
        Injection::Config(fault) => format!("the file `{}`", fault.file),
        Injection::MuteTime(fault) => format!("the time interval `{}`", fault.interval),
        Injection::Silence(fault) => format!("the silence on {}", fault.matchers.join(", ")),
        Injection::Dns(fault) => format!("the name `{}` for `{target}`", fault.name),
        _ => match (inject.ends(), inject.switch()) {
            (Some((from, to)), _) => format!("`{kind}` on `{from} -> {to}`"),
            (None, Some(call)) => {
                format!(
                    "the switch `{}` of `{}`",
                    call.name,
                    call.target.map_or(service.unwrap_or("the service"), |t| t.as_str())
                )
            }
            (None, None) => format!("`{kind}` of `{target}`"),
        },
    }
}

/// The component whose switch (of `a`) is lost because `b` ends its process.
fn lost_switch<'f>(a: &'f Fault, b: &'f Fault, service: Option<&'f str>) -> Option<&'f str> {
    let call = a.inject.switch()?;
    let switched = call.target.map(|target| target.get().as_str()).or(service)?;
    let ends = matches!(b.inject.kind(), "kill" | "stop" | "restart" | "oom" | "rolling-restart");
    (ends && b.inject.target().is_some_and(|target| target.get() == switched)).then_some(switched)
}

/// `name="value"`, with =, !=, =~ or !~.
fn is_matcher(text: &str) -> bool {
    let name = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
    let rest = text[name..].trim_start();
    let value = ["=~", "!~", "!=", "="].iter().find_map(|operator| rest.strip_prefix(operator));
    name > 0 && value.is_some_and(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_has_name_operator_and_value() {
        for text in ["alertname=\"A\"", "severity =~ \"a|b\"", "a!=b"] {
            assert!(is_matcher(text), "{text}");
        }
        for text in ["", "alertname", "=\"A\"", "a=", "a b"] {
            assert!(!is_matcher(text), "{text}");
        }
    }
}
