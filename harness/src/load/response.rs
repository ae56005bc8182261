//! Reads HTTP/1.1 answers from whatever pieces the socket delivers. Pure: bytes in, progress out. Used by `connection`.

use super::workload::Answer;

/// The longest head and the longest body that is kept for checks.
const HEAD_LIMIT: usize = 64 * 1024;
pub(super) const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Reads one answer after another.
#[derive(Debug, Default)]
pub(super) struct Reader {
    state: State,
    /// A head that has not arrived as a whole yet.
    partial: Vec<u8>,
    status: u16,
    keep_alive: bool,
    seen: bool,
    head_only: bool,
    keep: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// Where in a chunked body it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    Extension(u64),
    Data(u64),
    DataEnd,
    /// In the trailer, with the length of the current line.
    Trailer(u32),
}

/// What came of feeding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer goes on.
    More,
    /// The answer is complete.
    Done(Done),
}

/// A complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) reuse: Reuse,
}

/// Whether the connection can be used for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Keep,
    Close,
}

/// Not HTTP/1.x, or beyond the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What the end of the stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No byte of the answer had come.
    Nothing,
    /// It broke off.
    Truncated,
    /// The answer ends with the stream.
    Complete(Done),
}

/// Whether the body is needed after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Discard,
    Keep,
}

impl Reader {
    /// Gets ready for the next answer.
    pub(super) fn expect(&mut self, answer: Answer, body: Body) {
        self.state = State::Head;
        self.partial.clear();
        self.seen = false;
        self.head_only = answer == Answer::HeadOnly;
        self.keep = (body == Body::Keep).then(Vec::new);
    }

    /// The body kept so far.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        self.keep.take().unwrap_or_default()
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<Progress, Malformed> {
        self.seen |= !bytes.is_empty();
        while self.state == State::Head {
            let Some(used) = self.head(bytes)? else { return Ok(Progress::More) };
            bytes = &bytes[used..];
            if self.state == State::Length(0) {
                return Ok(self.done(bytes));
            }
        }
        self.payload(bytes)
    }

    /// The stream ended.
    pub(super) fn end(&self) -> End {
        match self.state {
            _ if !self.seen => End::Nothing,
            State::UntilClose => End::Complete(Done { status: self.status, reuse: Reuse::Close }),
            _ => End::Truncated,
        }
    }

    /// Reads a head; returns how many of `bytes` belong to it, or none while it is incomplete.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.partial.is_empty() {
            if let Some(used) = self.parse(bytes)? {
                return Ok(Some(used));
            }
            self.partial.extend_from_slice(bytes);
            return Ok(None);
        }
        let before = self.partial.len();
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        match self.parse(&whole)? {
            Some(used) => Ok(Some(used - before)),
            None if whole.len() > HEAD_LIMIT => Err(Malformed),
            None => {
                self.partial = whole;
                Ok(None)
            }
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(used) = response.parse(bytes).map_err(|_| Malformed)? else {
            return Ok(None);
        };
        self.status = response.code.ok_or(Malformed)?;
        if self.status == 101 {
            return Err(Malformed);
        }
        if self.status >= 200 {
            self.keep_alive = response.version == Some(1);
            self.state = self.framing(response.headers)?;
        }
        Ok(Some(used))
    }

    /// RFC 9112, section 6.3: how long the body is.
    fn framing(&mut self, headers: &[httparse::Header<'_>]) -> Result<State, Malformed> {
        let (mut length, mut chunked) = (None, false);
        for header in headers {
            let value = || std::str::from_utf8(header.value).map(str::trim).map_err(|_| Malformed);
            if header.name.eq_ignore_ascii_case("content-length") {
                let parsed = value()?.parse::<u64>().map_err(|_| Malformed)?;
                if length.replace(parsed).is_some_and(|earlier| earlier != parsed) {
                    return Err(Malformed);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value()?.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
                self.keep_alive &= chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                for option in value()?.split(',').map(str::trim) {
                    self.keep_alive |= option.eq_ignore_ascii_case("keep-alive");
                    self.keep_alive &= !option.eq_ignore_ascii_case("close");
                }
            }
        }
        Ok(match length {
            _ if self.head_only || self.status == 204 || self.status == 304 => State::Length(0),
            _ if chunked => State::Chunked(Chunk::Size { value: 0, digits: 0 }),
            Some(length) => State::Length(length),
            None => State::UntilClose,
        })
    }

    fn payload(&mut self, mut bytes: &[u8]) -> Result<Progress, Malformed> {
        loop {
            let taken = match &mut self.state {
                State::Head => unreachable!("the head was read before"),
                State::UntilClose => bytes.len(),
                State::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    taken
                }
                State::Chunked(Chunk::Data(left)) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Chunked(Chunk::DataEnd);
                    }
                    taken
                }
                State::Chunked(chunk) => {
                    let Some((first, rest)) = bytes.split_first() else { return Ok(Progress::More) };
                    bytes = rest;
                    match chunk.step(*first)? {
                        Some(next) => *chunk = next,
                        None => return Ok(self.done(bytes)),
                    }
                    continue;
                }
            };
            self.keep(&bytes[..taken])?;
            bytes = &bytes[taken..];
            match self.state {
                State::Length(0) => return Ok(self.done(bytes)),
                State::Chunked(_) if !bytes.is_empty() => {}
                _ => return Ok(Progress::More),
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if let Some(kept) = &mut self.keep {
            if kept.len() + bytes.len() > BODY_LIMIT {
                return Err(Malformed);
            }
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Bytes behind a complete answer belong to nothing that was asked, so the connection is not used again.
    const fn done(&self, rest: &[u8]) -> Progress {
        let reuse = if self.keep_alive && rest.is_empty() { Reuse::Keep } else { Reuse::Close };
        Progress::Done(Done { status: self.status, reuse })
    }
}

impl Chunk {
    /// The next position after a byte that is not data; none at the end of the body.
    fn step(self, byte: u8) -> Result<Option<Self>, Malformed> {
        Ok(Some(match (self, byte) {
            (Self::Size { value, digits }, byte) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Self::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed),
            (Self::Size { value: 0, .. } | Self::Extension(0), b'\n') => Self::Trailer(0),
            (Self::Size { value, .. } | Self::Extension(value), b'\n') => Self::Data(value),
            (Self::Size { value, .. }, b'\r' | b';' | b' ' | b'\t') | (Self::Extension(value), _) => {
                Self::Extension(value)
            }
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::Trailer(0), b'\n') => return Ok(None),
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(length),
            (Self::Trailer(length), _) if length < 16_384 => Self::Trailer(length + 1),
            _ => return Err(Malformed),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str, piece: usize) -> Result<(Progress, String), Malformed> {
        let mut reader = Reader::default();
        reader.expect(Answer::WithBody, Body::Keep);
        let mut progress = Progress::More;
        for bytes in answer.as_bytes().chunks(piece) {
            progress = reader.feed(bytes)?;
        }
        Ok((progress, String::from_utf8(reader.take_body()).unwrap()))
    }

    fn done(status: u16, reuse: Reuse) -> Progress {
        Progress::Done(Done { status, reuse })
    }

    #[test]
    fn answers_are_read_from_pieces_of_any_size() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n002\r\nlo\r\n0\r\nTrail: er\r\n\r\n";
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for piece in 1..=length.len().max(chunked.len()) {
            assert_eq!(read(length, piece), Ok((done(200, Reuse::Keep), "hello".to_owned())), "{piece}");
            assert_eq!(read(chunked, piece), Ok((done(503, Reuse::Keep), "hello".to_owned())), "{piece}");
            assert_eq!(read(early, piece), Ok((done(200, Reuse::Keep), "hello".to_owned())), "{piece}");
        }
    }

    #[test]
    fn a_connection_is_kept_only_if_both_sides_know_where_the_answer_ends() {
        let reuse = |answer: &str| read(answer, 4096).unwrap().0;
        assert_eq!(reuse("HTTP/1.1 204 No\r\n\r\n"), done(204, Reuse::Keep));
        assert_eq!(reuse("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), done(200, Reuse::Close));
        assert_eq!(reuse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), done(200, Reuse::Close));
        assert_eq!(
            reuse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
            done(200, Reuse::Keep)
        );
        assert_eq!(reuse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"), done(200, Reuse::Close));
        assert_eq!(reuse("HTTP/1.1 200 OK\r\n\r\nto the end"), Progress::More);
    }

    #[test]
    fn the_end_of_the_stream_is_nothing_a_break_or_the_end_of_the_answer() {
        let end = |answer: &str| {
            let mut reader = Reader::default();
            reader.expect(Answer::WithBody, Body::Discard);
            reader.feed(answer.as_bytes()).unwrap();
            reader.end()
        };
        assert_eq!(end(""), End::Nothing);
        assert_eq!(end("HTTP/1.1 20"), End::Truncated);
        assert_eq!(end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), End::Truncated);
        assert_eq!(end("HTTP/1.1 200 OK\r\n\r\nab"), End::Complete(Done { status: 200, reuse: Reuse::Close }));
    }

    #[test]
    fn what_is_not_http_is_malformed() {
        for answer in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert_eq!(read(answer, 4096), Err(Malformed), "{answer}");
        }
    }

    #[test]
    fn a_head_request_has_no_body_whatever_the_length_says() {
        let mut reader = Reader::default();
        reader.expect(Answer::HeadOnly, Body::Discard);
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Ok(done(200, Reuse::Keep)));
    }
}
