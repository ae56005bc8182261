//! Numbers as Prometheus writes them: decimal text, `NaN`, `+Inf`, `-Inf` (T14).

/// Reads a sample value; `None` when it is no number.
#[must_use]
pub fn parse_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    if unsigned.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.').then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_values_are_numbers_t14_b28() {
        assert!(parse_number("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_number("+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_number("-Inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_number("0e+00"), Some(0.0));
        assert_eq!(parse_number("-1.5e-3"), Some(-0.0015));
    }

    #[test]
    fn what_is_no_number_is_none_not_zero() {
        for text in ["", "-", "+", "--1", "+-1", "one", "1 2", "0x", "N a N"] {
            assert_eq!(parse_number(text), None, "{text:?}");
        }
    }
}
