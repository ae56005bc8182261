//! Queries: whether PromQL and LogQL parse, and whether their results can be compared.

use std::ops::Range;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};

/// What a LogQL query results in, as its first character shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogResult {
    /// Lines.
    Lines,
    /// Numbers.
    Numbers,
}

/// Characters outside of quotes up to which a query is parsed here: the parser takes time with the square of the depth.
const MOST_CHECKED: usize = 16 * 1024;

impl Linter<'_> {
    /// A PromQL query whose instant result can be compared with a number.
    pub(super) fn promql(&mut self, query: &Spanned<String>) {
        if let Some(at) = placeholder(query) {
            let message = "a Grafana variable stands in the query, which only Grafana replaces";
            let help = "write the window itself, for example [5m] for [$__rate_interval]";
            return self.report(Finding::error(Code::Promql, self.inside(query, at), message).help(help));
        }
        if unquoted(query) > MOST_CHECKED {
            let message = "the PromQL query is too long to be checked here; Prometheus will check it";
            return self.report(Finding::warning(Code::Promql, query.span(), message));
        }
        let Some((message, help)) = on_a_stack_for(query, judge) else { return };
        self.report(Finding::error(Code::Promql, query.span(), message).maybe_help(help));
    }

    /// A LogQL query.
    pub(super) fn logql(&mut self, query: &Spanned<String>) {
        let Some(parse) = self.surroundings.logql else { return };
        if let Err((offset, message)) = parse(query) {
            let end = query[offset.min(query.len())..].chars().next().map_or(0, char::len_utf8);
            let span = self.inside(query, offset..offset + end);
            self.report(Finding::error(Code::Logql, span, format!("failed to parse the LogQL query: {message}")));
        }
    }

    /// The bytes in the file for bytes of a text; the whole text where it was written with escapes.
    fn inside(&self, text: &Spanned<String>, part: Range<usize>) -> Range<usize> {
        let span = text.span();
        let written = self.loaded.text.get(span.clone()).unwrap_or_default();
        match written.find(text.as_str()) {
            Some(start) if !text.is_empty() => span.start + start + part.start..span.start + start + part.end,
            _ => span,
        }
    }
}

/// What is wrong with a PromQL query, and what to try.
fn judge(query: &str) -> Option<(String, Option<String>)> {
    match parser::parse(query) {
        Err(error) => Some((format!("failed to parse the PromQL query: {}", one_line(&error)), None)),
        Ok(expression) => complaint(&expression).map(|(message, help)| (message.to_owned(), Some(help.to_owned()))),
    }
}

/// A syntax tree is walked and dropped recursively, and can be nearly as deep as the query is long: long queries get a
/// thread whose stack is as deep as they could need.
fn on_a_stack_for<T: Send>(query: &str, judge: fn(&str) -> T) -> T {
    const SHORT: usize = 512;
    const PER_BYTE: usize = 4096;
    let unquoted = unquoted(query);
    if unquoted <= SHORT {
        return judge(query);
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(unquoted.saturating_mul(PER_BYTE));
        let thread = builder.spawn_scoped(scope, || judge(query)).expect("a thread can be started");
        thread.join().expect("the parser does not panic")
    })
}

/// The bytes outside of quotes: what makes a syntax tree large. A regular expression of 100 kB is one leaf.
fn unquoted(query: &str) -> usize {
    let mut count = 0;
    outside_quotes(query, |_, _| {
        count += 1;
        None::<()>
    });
    count
}

/// What a LogQL query results in.
pub(super) fn log_result(query: &str) -> LogResult {
    if query.trim_start().starts_with('{') { LogResult::Lines } else { LogResult::Numbers }
}

/// The first `$name` or `${name}` outside of quotes.
fn placeholder(query: &str) -> Option<Range<usize>> {
    outside_quotes(query, |at, c| {
        let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '{' | '}');
        (c == '$').then(|| at..query[at + 1..].find(|c| !name(c)).map_or(query.len(), |length| at + 1 + length))
    })
}

/// Looks at every character outside of quotes until `visit` has found something.
fn outside_quotes<T>(query: &str, mut visit: impl FnMut(usize, char) -> Option<T>) -> Option<T> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in query.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => {
                let found = visit(at, c);
                if found.is_some() {
                    return found;
                }
            }
        }
    }
    None
}

/// What keeps a parsed query from being compared, and what to try.
fn complaint(expression: &Expr) -> Option<(&'static str, &'static str)> {
    match expression.value_type() {
        ValueType::Matrix => Some((
            "the PromQL query is a range vector, where an instant one is needed",
            "put a function around it, for example rate(...[5m])",
        )),
        ValueType::String => {
            Some(("the PromQL query is a text, which no number compares with", "write a query for numbers"))
        }
        ValueType::Vector | ValueType::Scalar => {
            let mut search = AlternativeSearch(false);
            let _ = walk_expr(&mut search, expression);
            search.0.then_some((
                "the PromQL query has `or` between matchers, which Prometheus does not know",
                "write two selectors with `or` between them",
            ))
        }
    }
}

/// Looks for `{a="b" or c="d"}`: the parser reads it, Prometheus does not.
struct AlternativeSearch(bool);

impl ExprVisitor for AlternativeSearch {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        let matchers = match expression {
            Expr::VectorSelector(selector) => &selector.matchers,
            Expr::MatrixSelector(selector) => &selector.vs.matchers,
            _ => return Ok(true),
        };
        self.0 |= !matchers.or_matchers.is_empty();
        Ok(true)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_in_quotes_is_no_variable_b26() {
        assert_eq!(placeholder("rate(a[$__rate_interval])"), Some(7..23));
        assert_eq!(placeholder("a{b=~\"x$\", c='\\'$'}"), None);
        assert_eq!(placeholder("a{b=~`x\\`} + $c"), Some(13..15));
    }

    #[test]
    fn a_range_vector_and_a_text_cannot_be_compared_b22_b23() {
        let of = |query: &str| complaint(&parser::parse(query).unwrap());
        assert!(of("http_requests_total[5m]").unwrap().0.contains("range vector"));
        assert!(of("\"text\"").unwrap().0.contains("text"));
        assert!(of("{a=\"b\" or c=\"d\"}").unwrap().0.contains("`or`"));
        assert_eq!(of("scalar(sum(up))"), None);
        assert_eq!(of("1"), None);
        assert_eq!(of("sum by (route) (rate(http_requests_total[5m])) > 0"), None);
    }

    #[test]
    fn quoted_names_and_long_queries_parse_b34() {
        assert_eq!(complaint(&parser::parse("{\"http.requests\", code=\"500\"}").unwrap()), None);
        let regex = format!("up{{job=~\"{}\"}}", vec!["a"; 60_000].join("|"));
        assert!(regex.len() > 100_000 && unquoted(&regex) < 20);
        assert_eq!(on_a_stack_for(&regex, judge), None);
    }

    #[test]
    fn the_deepest_query_that_is_parsed_does_not_overflow_the_stack() {
        let sum = vec!["a"; MOST_CHECKED / 2].join("+");
        let half = MOST_CHECKED / 2;
        let nested = format!("{}1{}", "(".repeat(half), ")".repeat(half));
        let unary = format!("{}1", "-".repeat(MOST_CHECKED - 1));
        for deep in [sum, nested, unary] {
            assert_eq!(on_a_stack_for(&deep, judge), None);
        }
    }
}
