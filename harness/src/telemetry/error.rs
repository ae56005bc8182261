//! How asking a server can fail. Made by every client here, turned into reason codes by `expect`.

/// Why a question has no answer. Messages follow "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("use the address `{address}`: {message}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        message: String,
    },
    /// No connection, no answer in time, or the connection broke before the answer was complete.
    #[error("reach {url}: {message}")]
    Unreachable {
        /// Without credentials and parameters.
        url: String,
        /// The cause.
        message: String,
    },
    /// 401 or 403.
    #[error("be let in at {url}: it answered {status}; check the credentials for it")]
    Auth {
        /// Without credentials and parameters.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// Any other status that is not a success. Redirects are not followed, so they end here too.
    #[error("ask {url}: it answered {status}: {body}")]
    Refused {
        /// Without credentials and parameters.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The server understood the request and could not evaluate the query: `status: "error"`, 400 or 422.
    #[error("evaluate the query ({kind}): {message}")]
    Query {
        /// The server's own class, for example `bad_data` or `execution`.
        kind: String,
        /// The server's own words.
        message: String,
    },
    /// The answer does not have the shape its API promises.
    #[error("read the answer of {url}: at `{path}`: {message}")]
    Malformed {
        /// Without credentials and parameters.
        url: String,
        /// Where in the document, for example `data.result[3].value[1]`; `$` is the document itself.
        path: String,
        /// What was expected and what was found.
        message: String,
    },
    /// The answer was cut off at the limit.
    #[error("read the answer of {url}: it is longer than {limit} bytes; ask for less or raise the limit")]
    TooLarge {
        /// Without credentials and parameters.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// Whether the server gave no answer at all, as opposed to an answer that is of no use.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
