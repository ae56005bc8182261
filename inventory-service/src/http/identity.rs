//! Who asked: the request id and the W3C trace context of a request, honoured when they come in and passed on with the
//! answer, so that a caller can find its line in the log.

use std::fmt;

use http::{HeaderMap, HeaderValue};

/// The header of the request id.
pub const REQUEST_ID: &str = "x-request-id";
/// The header of the trace context.
pub const TRACEPARENT: &str = "traceparent";

const LONGEST_ID: usize = 128;

/// A trace id: never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// A span id: never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<u64>().max(1))
    }
}

impl TraceId {
    /// Where this trace stands among all, from 0 to 1: the last seven bytes are random in every trace id.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a share needs no more precision")]
    fn rank(self) -> f64 {
        (self.0 as u64 & 0x00ff_ffff_ffff_ffff) as f64 / (1_u64 << 56) as f64
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whether the caller records this trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// It does, or there was no caller to say.
    Recorded,
    /// It does not.
    Dropped,
}

/// The identity of one request.
#[derive(Clone, Debug)]
pub struct Identity {
    request_id: HeaderValue,
    /// The trace it belongs to: the caller's, or a new one.
    pub trace_id: TraceId,
    /// The span of the caller.
    pub parent: Option<SpanId>,
    /// The span of this request.
    pub span_id: SpanId,
    /// Whether the trace is recorded.
    pub sampling: Sampling,
}

impl Identity {
    /// Takes the caller's ids where they are valid, makes new ones otherwise; `share` of the new traces are recorded.
    #[must_use]
    pub fn of(headers: &HeaderMap, share: f64) -> Self {
        let context = headers.get(TRACEPARENT).and_then(|value| parse_traceparent(value.to_str().ok()?));
        let span_id = SpanId::random();
        let request_id = headers.get(REQUEST_ID).filter(|value| is_plain(value)).cloned();
        let request_id = request_id.unwrap_or_else(|| hexadecimal(rand::random::<u64>()));
        let (trace_id, parent, sampling) = match context {
            Some((trace_id, parent, sampling)) => (trace_id, Some(parent), sampling),
            None => {
                let trace_id = TraceId(rand::random::<u128>().max(1));
                (trace_id, None, if trace_id.rank() < share { Sampling::Recorded } else { Sampling::Dropped })
            }
        };
        Self { request_id, trace_id, parent, span_id, sampling }
    }

    /// The request id: visible ASCII without quotes and backslashes.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The request id as a header.
    #[must_use]
    pub fn request_id_header(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// The trace context to pass on: this request's span is the parent of what follows.
    #[must_use]
    pub fn traceparent(&self) -> HeaderValue {
        let flags = match self.sampling {
            Sampling::Recorded => "01",
            Sampling::Dropped => "00",
        };
        let text = format!("00-{}-{}-{flags}", self.trace_id, self.span_id);
        HeaderValue::try_from(text).expect("hexadecimal digits and hyphens are a header value")
    }
}

fn hexadecimal(number: u64) -> HeaderValue {
    HeaderValue::try_from(format!("{number:016x}")).expect("hexadecimal digits are a header value")
}

fn is_plain(value: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    !value.is_empty() && value.len() <= LONGEST_ID && value.as_bytes().iter().all(allowed)
}

/// Version 00, and later versions as far as they look the same.
fn parse_traceparent(text: &str) -> Option<(TraceId, SpanId, Sampling)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let shaped = lower_hex(version, 2) && lower_hex(trace, 32) && lower_hex(span, 16) && lower_hex(flags, 2);
    if !shaped || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some((TraceId(trace), SpanId(span), if sampled { Sampling::Recorded } else { Sampling::Dropped }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_valid_context_is_continued() {
        let identity =
            Identity::of(&headers(TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), 1.0);
        assert_eq!(identity.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(identity.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!(identity.sampling, Sampling::Dropped);
        let passed_on = identity.traceparent();
        assert!(passed_on.to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(passed_on.to_str().unwrap().ends_with("-00"));
    }

    #[test]
    fn an_invalid_context_starts_a_new_trace() {
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert!(Identity::of(&headers(TRACEPARENT, text), 1.0).parent.is_none(), "{text}");
        }
    }

    #[test]
    fn new_traces_are_recorded_by_their_share() {
        let recorded = |share: f64| {
            let traces = (0..2000).map(|_| Identity::of(&HeaderMap::new(), share));
            traces.filter(|identity| identity.sampling == Sampling::Recorded).count()
        };
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 2000));
        assert!((200..800).contains(&recorded(0.25)));
    }

    #[test]
    fn a_request_id_is_kept_only_when_it_is_plain() {
        assert_eq!(Identity::of(&headers(REQUEST_ID, "drill-7/a"), 1.0).request_id(), "drill-7/a");
        for text in ["", "a b", "<script>", "a\"b", &"x".repeat(129)] {
            assert_ne!(Identity::of(&headers(REQUEST_ID, text), 1.0).request_id(), text);
        }
    }
}
