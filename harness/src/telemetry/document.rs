//! A cursor over a JSON answer that knows where it is, so that a wrong shape is reported with its path (B59).

use std::time::Duration;

use serde_json::Value;

use super::{Error, Labels, parse_number};
use crate::clock::Stamp;

/// A place in a document.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    url: &'a str,
    path: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value, url: &'a str) -> Self {
        Self { value, url, path: String::new() }
    }

    /// What stands here.
    pub(crate) const fn value(&self) -> &'a Value {
        self.value
    }
    /// The error that says what was expected here.
    pub(crate) fn expected(&self, what: &str) -> Error {
        let path = if self.path.is_empty() { "$".to_owned() } else { self.path.clone() };
        let found = match self.value {
            Value::Null => "null".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            scalar => excerpt(&scalar.to_string(), 80),
        };
        Error::Malformed { url: self.url.to_owned(), path, message: format!("expected {what}, found {found}") }
    }

    /// A member that may be absent or null.
    pub(crate) fn optional(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Self { value, url: self.url, path: join(&self.path, key) })
    }

    /// A member that must be there.
    pub(crate) fn member(&self, key: &str) -> Result<Self, Error> {
        if !self.value.is_object() {
            return Err(self.expected(&format!("an object with `{key}`")));
        }
        let value = self.value.get(key).unwrap_or(&Value::Null);
        Ok(Self { value, url: self.url, path: join(&self.path, key) })
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Result<Vec<Self>, Error> {
        let Value::Array(items) = self.value else { return Err(self.expected("a list")) };
        let place = |(index, value)| Self { value, url: self.url, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// The items of a list that may be absent or null.
    pub(crate) fn optional_items(&self, key: &str) -> Result<Vec<Self>, Error> {
        self.optional(key).map_or_else(|| Ok(Vec::new()), |list| list.items())
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Self)>, Error> {
        let Value::Object(members) = self.value else { return Err(self.expected("an object")) };
        let place = |(key, value): (&'a String, &'a Value)| {
            (key.as_str(), Self { value, url: self.url, path: join(&self.path, key) })
        };
        Ok(members.iter().map(place).collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn number(&self) -> Result<f64, Error> {
        self.value.as_f64().ok_or_else(|| self.expected("a number"))
    }

    pub(crate) fn truth(&self) -> Result<bool, Error> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A number in a string, as sample values are written.
    pub(crate) fn sample_value(&self) -> Result<f64, Error> {
        parse_number(self.text()?).ok_or_else(|| self.expected("a number in a string"))
    }

    /// Seconds as a number.
    pub(crate) fn seconds(&self) -> Result<Duration, Error> {
        Duration::try_from_secs_f64(self.number()?).map_err(|_| self.expected("seconds"))
    }

    /// RFC 3339; Go's zero time is "never", which is `None`.
    pub(crate) fn time(&self) -> Result<Option<Stamp>, Error> {
        parse_time(self.text()?).ok_or_else(|| self.expected("a time as in RFC 3339"))
    }

    /// An object of strings.
    pub(crate) fn labels(&self) -> Result<Labels, Error> {
        let pair = |(key, node): (&str, Self)| Ok((key.to_owned(), node.text()?.to_owned()));
        self.members()?.into_iter().map(pair).collect()
    }

    /// A string member, empty if absent.
    pub(crate) fn text_or_empty(&self, key: &str) -> Result<String, Error> {
        self.optional(key).map_or_else(|| Ok(String::new()), |node| node.text().map(str::to_owned))
    }

    /// A label member, empty if absent.
    pub(crate) fn labels_or_empty(&self, key: &str) -> Result<Labels, Error> {
        self.optional(key).map_or_else(|| Ok(Labels::new()), |node| node.labels())
    }

    /// Seconds, zero if absent.
    pub(crate) fn seconds_or_zero(&self, key: &str) -> Result<Duration, Error> {
        self.optional(key).map_or(Ok(Duration::ZERO), |node| node.seconds())
    }

    /// A time, `None` if absent or Go's zero time.
    pub(crate) fn time_or_never(&self, key: &str) -> Result<Option<Stamp>, Error> {
        self.optional(key).map_or(Ok(None), |node| node.time())
    }
}

/// Reads RFC 3339; the outer `None` is "no time", the inner one Go's zero time.
#[expect(clippy::option_option, reason = "unreadable and never are different answers")]
fn parse_time(text: &str) -> Option<Option<Stamp>> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let zero = "0001-01-01T00:00:00Z".parse::<jiff::Timestamp>().expect("a constant in the right format");
    Some((time != zero).then(|| Stamp(time.as_microsecond())))
}

/// The beginning of a text, on a character boundary.
pub(crate) fn excerpt(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_shape_is_reported_with_its_path_b59() {
        let document = json!({"data": {"result": [{"value": [1, null]}]}});
        let root = Node::root(&document, "http://p/q");
        let result = root.member("data").unwrap().member("result").unwrap().items().unwrap();
        let value = result[0].member("value").unwrap().items().unwrap();
        let message = value[1].text().unwrap_err().to_string();
        assert_eq!(
            message,
            "read the answer of http://p/q: at `data.result[0].value[1]`: expected a string, found null"
        );
    }

    #[test]
    fn gos_zero_time_is_never() {
        assert_eq!(parse_time("0001-01-01T00:00:00Z"), Some(None));
        assert_eq!(parse_time("2026-11-20T10:00:10.633953914Z"), Some(Some(Stamp(1_795_168_810_633_953))));
        assert_eq!(parse_time("2026-11-20T10:00:10+01:00"), Some(Some(Stamp(1_795_165_210_000_000))));
        assert_eq!(parse_time("yesterday"), None);
    }
}
