//! The pictures: well-formed, escaped, and made of what was seen.

use super::*;
use crate::report::testing;
use crate::report::view;

fn picture(events: &[crate::event::Event], scenario: usize) -> String {
    timeline(&view::of(events).scenarios[scenario]).unwrap()
}

#[test]
fn a_timeline_shows_every_lane() {
    let svg = picture(&testing::pass(), 1);
    for class in [
        "phase-drill",
        "\"fault\"",
        "\"succeeded\"",
        "\"failed\"",
        "\"p99\"",
        "\"pending\"",
        "\"firing\"",
        "mark-firing",
        "mark-resolved",
        "\"bound\"",
    ] {
        assert!(svg.contains(class), "{class} is missing");
    }
    assert!(svg.contains("production time") && svg.contains("real time"));
}

#[test]
fn elements_are_balanced_and_coordinates_are_numbers() {
    for log in [testing::pass(), testing::fail(), testing::inconclusive(), testing::incomplete(), testing::everything()]
    {
        for scenario in &view::of(&log).scenarios {
            let Some(svg) = timeline(scenario) else { continue };
            for element in ["svg", "text", "title"] {
                assert_eq!(svg.matches(&format!("<{element}")).count(), svg.matches(&format!("</{element}>")).count());
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", scenario.name);
            assert!(!svg.contains("style="));
        }
    }
}

#[test]
fn a_scenario_that_never_began_has_no_picture() {
    assert_eq!(view::of(&testing::everything()).scenarios.iter().filter_map(timeline).count(), 2);
}

#[test]
fn a_text_cannot_leave_its_element() {
    assert_eq!(escape("</text><script>\"'&"), "&#60;/text&#62;&#60;script&#62;&#34;&#39;&#38;");
}
