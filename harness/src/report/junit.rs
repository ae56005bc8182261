//! The report for CI: a suite for each scenario, a case for each expectation and for whatever else kept it from passing.
//! Failed is `<failure>`, inconclusive is `<error>`, skipped is `<skipped>`; a suite that did not pass has at least one
//! case that says why.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::view::{self, Expectation, Scenario, Trouble, View};
use crate::event::{Event, Verdict};
use crate::outcome::{Evidence, FactValue, Outcome, Reason};

/// The XML of a log.
///
/// # Errors
/// When the XML cannot be written; control characters are made visible before, so texts are no cause.
pub fn document(events: &[Event]) -> Result<String, SerializeError> {
    let view = view::of(events);
    let mut report = Report::new(format!("harness {}", view.run.id));
    report.set_time(view.took());
    for scenario in &view.scenarios {
        report.add_test_suite(suite(scenario));
    }
    if let Some(whole) = whole(&view) {
        report.add_test_suite(whole);
    }
    report.to_string()
}

fn suite(scenario: &Scenario) -> TestSuite {
    let mut suite = TestSuite::new(scenario.name.as_str());
    suite.set_time(scenario.took().unwrap_or_default());
    suite.add_property(("verdict", view::word(scenario.judgement.verdict)));
    if let Some(plan) = &scenario.plan {
        suite.add_property(("file", plan.file.as_str()));
        suite.add_property(("time-scale", plan.time_scale.to_string().as_str()));
    }
    let cases: Vec<TestCase> = scenario
        .expectations
        .iter()
        .map(|expectation| case(scenario, expectation))
        .chain(scenario.troubles.iter().map(|trouble| trouble_case(scenario, trouble)))
        .chain(scenario.skipped.iter().map(|(reason, message)| skipped_case(scenario, *reason, message)))
        .collect();
    let passes = matches!(scenario.judgement.verdict, Verdict::Pass | Verdict::Skipped);
    let explained = cases.iter().any(|case| matches!(case.status, TestCaseStatus::NonSuccess { .. }));
    suite.add_test_cases(cases);
    if !passes && !explained {
        suite.add_test_case(verdict_case(scenario));
    }
    suite
}

fn case(scenario: &Scenario, expectation: &Expectation) -> TestCase {
    let plan = &expectation.plan;
    let status = match &expectation.outcome {
        None => non_success(NonSuccessKind::Error, Reason::Interrupted, "the log stops before this was judged", ""),
        Some(Outcome::Passed(_)) => TestCaseStatus::success(),
        Some(Outcome::Failed(reason, evidence)) => judged(NonSuccessKind::Failure, *reason, evidence, expectation),
        Some(Outcome::Inconclusive(reason, evidence)) => judged(NonSuccessKind::Error, *reason, evidence, expectation),
        Some(Outcome::Skipped(reason, evidence)) => skipped(*reason, &evidence.summary),
    };
    let mut case = TestCase::new(format!("{}: {}", plan.id, plan.title), status);
    case.set_classname(scenario.name.as_str());
    case.extra.insert("file".into(), plan.location.file.as_str().into());
    case.extra.insert("line".into(), plan.location.line.to_string().into());
    if let Some(Outcome::Passed(evidence)) = &expectation.outcome {
        case.set_system_out(evidence.summary.as_str());
    }
    case
}

fn judged(kind: NonSuccessKind, reason: Reason, evidence: &Evidence, expectation: &Expectation) -> TestCaseStatus {
    let plan = &expectation.plan;
    let mut text = format!("{}:{}: {}\n{}\n", plan.location.file, plan.location.line, plan.title, reason.meaning());
    for fact in &evidence.facts {
        text.push_str(&format!("\n{}: {}", fact.name, value(&fact.value)));
    }
    text.push_str(&format!("\n\n{}", plan.source.trim_end()));
    non_success(kind, reason, &evidence.summary, &text)
}

fn value(value: &FactValue) -> String {
    match value {
        FactValue::Text(text) => text.clone(),
        FactValue::Code(code) => format!("\n  {}", code.replace('\n', "\n  ")),
        FactValue::List(items) => items.iter().map(|item| format!("\n  - {item}")).collect(),
        FactValue::Table { columns, rows } => {
            std::iter::once(columns).chain(rows).map(|cells| format!("\n  {}", cells.join(" | "))).collect()
        }
    }
}

fn trouble_case(scenario: &Scenario, trouble: &Trouble) -> TestCase {
    let kind = if trouble.verdict == Verdict::Fail { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let text = format!("{}\n{}\n\n{}", trouble.reason.meaning(), trouble.message, trouble.last_lines.join("\n"));
    let mut case = TestCase::new(trouble.title.as_str(), non_success(kind, trouble.reason, &trouble.message, &text));
    locate(&mut case, scenario);
    case
}

fn skipped_case(scenario: &Scenario, reason: Reason, message: &str) -> TestCase {
    let mut case = TestCase::new("scenario", skipped(reason, message));
    locate(&mut case, scenario);
    case
}

fn verdict_case(scenario: &Scenario) -> TestCase {
    let judgement = &scenario.judgement;
    let reason = judgement.reasons.first().copied().unwrap_or(Reason::Vacuous);
    let kind = if judgement.verdict == Verdict::Fail { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let mut case =
        TestCase::new("verdict", non_success(kind, reason, view::meaning(judgement.verdict), reason.meaning()));
    locate(&mut case, scenario);
    case
}

fn locate(case: &mut TestCase, scenario: &Scenario) {
    case.set_classname(scenario.name.as_str());
    if let Some(plan) = &scenario.plan {
        case.extra.insert("file".into(), plan.file.as_str().into());
    }
}

fn non_success(kind: NonSuccessKind, reason: Reason, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(reason.code()).set_message(format!("{}: {message}", reason.code())).set_description(text);
    status
}

fn skipped(reason: Reason, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_type(reason.code()).set_message(format!("{}: {message}", reason.code()));
    status
}

/// What belongs to no scenario and still keeps the run from passing.
fn whole(view: &View) -> Option<TestSuite> {
    let explained = view.scenarios.iter().any(|it| it.judgement.verdict.exit_code() == view.exit_code);
    if view.verdict == Verdict::Pass || (explained && view.leftovers.is_empty()) {
        return None;
    }
    let mut suite = TestSuite::new("run");
    for (resource, why) in &view.leftovers {
        let status = non_success(NonSuccessKind::Error, Reason::Leftovers, why, resource);
        suite.add_test_case(TestCase::new(format!("left behind: {resource}"), status));
    }
    if !explained && view.leftovers.is_empty() {
        let reason = if view.verdict == Verdict::Interrupted { Reason::Interrupted } else { Reason::Vacuous };
        let status = non_success(NonSuccessKind::Error, reason, view::meaning(view.verdict), "");
        suite.add_test_case(TestCase::new("verdict", status));
    }
    Some(suite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::report::testing;

    #[test]
    fn outcomes_become_what_ci_knows() {
        insta::assert_snapshot!(document(&testing::fail()).unwrap());
    }

    #[test]
    fn a_stack_failure_is_an_error_with_the_components_last_lines() {
        let xml = document(&testing::stack_failure()).unwrap();
        assert!(xml.contains(r#"<error message="READY_TIMEOUT:"#), "{xml}");
        assert!(xml.contains("bind: address already in use"), "{xml}");
    }

    #[test]
    fn a_suite_that_did_not_pass_always_says_why() {
        for log in [testing::fail(), testing::inconclusive(), testing::stack_failure(), testing::incomplete()] {
            for length in 1..=log.len() {
                let xml = document(&log[..length]).unwrap();
                let passed = view::of(&log[..length]).verdict == Verdict::Pass;
                assert_eq!(!passed, xml.contains("<failure") || xml.contains("<error"), "{xml}");
            }
        }
    }

    #[test]
    fn control_characters_and_the_end_of_cdata_stay_well_formed_x10() {
        let mut log = testing::fail();
        for event in &mut log {
            if let EventKind::ExpectationJudged { outcome: Outcome::Failed(_, evidence), .. } = &mut event.what {
                evidence.summary = "a\u{0}\u{1b}[31m]]><b>\u{ffff}".to_owned();
            }
        }
        let xml = document(&log).unwrap();
        let control = |letter: char| letter.is_control() && letter != '\n';
        assert!(!xml.contains(control) && !xml.contains('\u{ffff}') && !xml.contains("]]>") && !xml.contains("<b>"));
    }
}
