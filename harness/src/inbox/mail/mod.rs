//! A mail server that keeps what it gets: enough SMTP for Alertmanager, one listener for each mail receiver.
//!
//! [`session`] decides, [`mod@serve`] moves bytes, [`content`] reads the mail.

pub(super) mod content;
mod serve;
mod session;

pub(super) use serve::serve;
