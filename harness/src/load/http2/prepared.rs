//! A request as the `h2` crate wants it.

use bytes::Bytes;

const LEFT_OUT: [&str; 7] =
    ["host", "content-length", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request as `h2` wants it.
#[derive(Debug)]
pub(in super::super) struct Prepared {
    pub(super) head: http::Request<()>,
    pub(super) body: Bytes,
}

impl Prepared {
    /// From an HTTP/1.1 request: an absolute URI, no `host`, no `content-length`, and nothing about the connection, which
    /// HTTP/2 forbids (RFC 9113, section 8.2.2).
    pub(in super::super) fn translate(wire: &[u8], secure: bool) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(used) = request.parse(wire).ok()? else { return None };
        let host = request.headers.iter().find(|header| header.name == "host")?;
        let scheme = if secure { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", std::str::from_utf8(host.value).ok()?, request.path?);
        let mut head = http::Request::builder().method(request.method?).uri(uri);
        let is_left_out = |name: &str| LEFT_OUT.iter().any(|left_out| name.eq_ignore_ascii_case(left_out));
        for header in request.headers.iter().filter(|header| !is_left_out(header.name)) {
            head = head.header(header.name, header.value);
        }
        Some(Self { head: head.body(()).ok()?, body: Bytes::copy_from_slice(&wire[used..]) })
    }
}
