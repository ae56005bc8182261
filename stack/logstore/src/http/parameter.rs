//! Query parameters as Loki reads them.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri, header};

use super::failure::Failure;
use crate::clock::{self, Nanos, SECOND};
use crate::eval::Direction;
use crate::logql::{go_duration, prometheus_duration};

/// How far back a query without a start goes.
const DEFAULT_SINCE: Nanos = 3_600 * SECOND;
/// How many lines a query without a limit answers.
const DEFAULT_LIMIT: usize = 100;
/// How many steps a range query may have.
const MAX_STEPS: i64 = 11_000;

type Read<T> = Result<T, Failure>;

/// The parameters of a request: those of a form body come before those of the address.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the address and, of a POST, the body.
    pub(super) fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Read<Self> {
        let parse = |text: &[u8]| {
            serde_urlencoded::from_bytes::<Vec<(String, String)>>(text)
                .map_err(|e| Failure::bad(format!("failed to read the parameters: {e}")))
        };
        let content = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut all = Vec::new();
        if *method == Method::POST && content.starts_with("application/x-www-form-urlencoded") {
            all = parse(body)?;
        }
        all.extend(parse(uri.query().unwrap_or_default().as_bytes())?);
        Ok(Self(all))
    }

    /// The first value of a parameter; empty if it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn limit(&self) -> Read<usize> {
        match self.get("limit") {
            "" => Ok(DEFAULT_LIMIT),
            text => match text.parse::<i64>() {
                Ok(value) if value > 0 => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
                Ok(_) => Err(Failure::bad("limit must be a positive value")),
                Err(_) => Err(Failure::bad(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))),
            },
        }
    }

    pub(super) fn direction(&self) -> Read<Direction> {
        match self.get("direction").to_ascii_uppercase().as_str() {
            "" | "BACKWARD" => Ok(Direction::Backward),
            "FORWARD" => Ok(Direction::Forward),
            _ => Err(Failure::bad(format!("invalid direction '{}'", self.get("direction")))),
        }
    }

    /// The time of an instant query.
    pub(super) fn time(&self, now: Nanos) -> Read<Nanos> {
        timestamp(self.get("time"), now).map_err(Failure::bad)
    }

    /// Start and end; `since` counts only without a start.
    pub(super) fn bounds(&self, now: Nanos) -> Read<(Nanos, Nanos)> {
        let named =
            |name: &'static str| move |e: String| Failure::bad(format!("could not parse '{name}' parameter: {e}"));
        let since = match self.get("since") {
            "" => DEFAULT_SINCE,
            text => prometheus_duration(text).map_err(named("since"))?,
        };
        let end = timestamp(self.get("end"), now).map_err(named("end"))?;
        let start = timestamp(self.get("start"), end.min(now).saturating_sub(since)).map_err(named("start"))?;
        Ok((start, end))
    }

    /// The bounds of a query, which must not be the wrong way round.
    pub(super) fn range(&self, now: Nanos) -> Read<(Nanos, Nanos)> {
        let (start, end) = self.bounds(now)?;
        if end < start {
            return Err(Failure::bad("end timestamp must not be before or equal to start time"));
        }
        Ok((start, end))
    }

    pub(super) fn step(&self, start: Nanos, end: Nanos) -> Read<Nanos> {
        let length = end.saturating_sub(start);
        let step = match self.get("step") {
            "" => (length / SECOND / 250).max(1) * SECOND,
            text => seconds_or_duration(text)?,
        };
        if step <= 0 {
            let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Failure::bad(message));
        }
        if length / step > MAX_STEPS {
            let message = "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the \
                           step parameter";
            return Err(Failure::bad(message));
        }
        // Loki keeps steps in milliseconds
        Ok((step / 1_000_000).max(1) * 1_000_000)
    }

    pub(super) fn interval(&self) -> Read<Nanos> {
        match self.get("interval") {
            "" => Ok(0),
            text => match seconds_or_duration(text)? {
                value if value < 0 => Err(Failure::bad("interval must be >= 0")),
                value => Ok(value),
            },
        }
    }
}

/// A time in seconds with a fraction, in whole seconds (up to ten digits), in nanoseconds or as RFC 3339.
fn timestamp(text: &str, default: Nanos) -> Result<Nanos, String> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Some(nanos) = text.parse::<f64>().ok().and_then(float_seconds)
    {
        return Ok(nanos);
    }
    match text.parse::<i64>() {
        Ok(seconds) if text.len() <= 10 => Ok(seconds * SECOND),
        Ok(nanos) => Ok(nanos),
        Err(_) => {
            clock::parse_rfc3339(text).ok_or_else(|| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        }
    }
}

/// Seconds as nanoseconds, the fraction rounded to milliseconds as Loki does.
#[expect(clippy::cast_possible_truncation, reason = "the bound is checked before")]
fn float_seconds(seconds: f64) -> Option<Nanos> {
    if !seconds.is_finite() || seconds.abs() > 9.2e9 {
        return None;
    }
    let millis = (seconds.fract() * 1_000.0).round() as i64;
    Some(seconds.trunc() as i64 * SECOND + millis * 1_000_000)
}

fn seconds_or_duration(text: &str) -> Read<Nanos> {
    let invalid = || Failure::bad(format!("cannot parse {text:?} to a valid duration"));
    match text.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "the bound is checked in the same expression")]
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 9.2e9 => Ok((seconds * 1e9) as i64),
        Ok(_) => Err(Failure::bad(format!("cannot parse {text:?} to a valid duration. It overflows int64"))),
        Err(_) => prometheus_duration(text).ok().or_else(|| go_duration(text)).ok_or_else(invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Parameters {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Parameters::read(&Method::GET, &uri, &HeaderMap::new(), &Bytes::new()).unwrap()
    }

    #[test]
    fn times_are_read_in_all_of_lokis_forms() {
        for (text, expected) in [
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000.5", 1_700_000_000_500_000_000),
            ("1700000000.1239", 1_700_000_000_124_000_000),
            ("1700000000000000001", 1_700_000_000_000_000_001),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            ("2023-11-14T23:13:20.25%2B01:00", 1_700_000_000_250_000_000),
        ] {
            assert_eq!(read(&format!("time={text}")).time(0), Ok(expected), "{text}");
        }
        let error = read("start=x").bounds(0).unwrap_err();
        assert_eq!(
            error,
            Failure::bad(r#"could not parse 'start' parameter: strconv.ParseInt: parsing "x": invalid syntax"#)
        );
    }

    #[test]
    fn start_beats_since_and_the_default_is_an_hour_t46() {
        let now = 10_000 * SECOND;
        assert_eq!(read("").range(now), Ok((6_400 * SECOND, now)));
        assert_eq!(read("since=10m").range(now), Ok((9_400 * SECOND, now)));
        assert_eq!(read("since=10m&start=5").range(now), Ok((5 * SECOND, now)));
        assert_eq!(read("end=20000").range(now), Ok((6_400 * SECOND, 20_000 * SECOND)));
        assert!(read("start=20&end=10").range(now).is_err());
    }

    #[test]
    fn limit_step_and_direction_have_lokis_defaults_and_texts() {
        assert_eq!(read("").limit(), Ok(100));
        assert_eq!(read("limit=0").limit(), Err(Failure::bad("limit must be a positive value")));
        assert_eq!(read("direction=forward").direction(), Ok(Direction::Forward));
        assert_eq!(read("direction=up").direction(), Err(Failure::bad("invalid direction 'up'")));
        assert_eq!(read("").step(0, 1_000 * SECOND), Ok(4 * SECOND));
        assert_eq!(read("step=0.25").step(0, 10 * SECOND), Ok(SECOND / 4));
        assert_eq!(read("step=1m").step(0, 10 * SECOND), Ok(60 * SECOND));
        assert!(read("step=0").step(0, SECOND).is_err());
        assert!(read("step=1ms").step(0, 60 * SECOND).is_err());
    }
}
