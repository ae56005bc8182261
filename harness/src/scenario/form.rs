//! Texts with a form of their own, by the name that the schema gives the form in `x-form`. Fed by the schema and `check`.

use std::ops::Range;

use super::diagnostic::{Code, Finding};
use super::model::Generator;
use super::{duration, quantity, text};

/// Texts with a form of their own; the names are those of `x-form` in the schema.
pub(super) fn check(form: &str, path: &str, span: &Range<usize>, value: &str) -> Option<Finding> {
    let problem = |code: Code, message: String| Finding::error(code, span.clone(), format!("`{}`: {message}", path));
    match form {
        "duration" | "positive-duration" => check_duration(form, path, span, value),
        "bound" | "latency-bound" | "share-bound" | "count-bound" => {
            quantity::parse_bound(form, value).err().map(|message| problem(Code::InvalidCondition, message))
        }
        "name" => text::check_name(value).err().map(|message| problem(Code::InvalidName, message)),
        "inner-path" => text::check_inner_path(value).err().map(|message| problem(Code::InvalidPath, message)),
        "filled" => {
            value.trim().is_empty().then(|| problem(Code::InvalidValue, "an empty text says nothing".to_owned()))
        }
        "url-path" => (!value.starts_with('/') || value.contains(char::is_whitespace))
            .then(|| problem(Code::InvalidValue, format!("`{value}` is no path such as \"/api/items/{{sku}}\""))),
        _ => {
            let result = match form {
                "share" => quantity::parse_share(value).map(drop),
                "size" => quantity::parse_size(value).map(drop),
                "data-rate" => quantity::parse_data_rate(value).map(drop),
                "link" => text::check_link(value).map(drop),
                "generator" => Generator::parse(value).map(drop),
                other => unreachable!("the schema names a form that is not checked: {other}"),
            };
            result.err().map(|message| problem(Code::InvalidValue, message))
        }
    }
}

fn check_duration(form: &str, path: &str, span: &Range<usize>, value: &str) -> Option<Finding> {
    let problem =
        |message: String| Finding::error(Code::InvalidDuration, span.clone(), format!("`{}`: {message}", path));
    match duration::parse(value) {
        Ok(length) if length.is_zero() && form == "positive-duration" => {
            Some(problem(format!("`{value}` is zero, it must be longer")))
        }
        Ok(_) => None,
        Err(error @ duration::PeriodError::NoUnit(_)) => {
            Some(problem(error.to_string()).help("write a unit: ms, s, m, h, d or w, as in \"90s\" or \"1h30m\""))
        }
        Err(error) => Some(problem(error.to_string())),
    }
}
