//! The SMTP dialogue as a state machine without input or output: a line in, a reply out. Accepts any sender, recipient and
//! password, and never keeps the latter.

/// What to do after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read on.
    Silent,
    /// Answer with this.
    Say(String),
    /// Answer with this and close.
    Close(String),
    /// A mail is complete; the answer depends on what the inbox is told to do.
    Mail(Vec<u8>),
    /// A mail is complete and longer than allowed; its beginning.
    TooLong(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Command,
    Password { lines: u8 },
    Data,
}

/// One connection's dialogue.
pub(super) struct Session {
    state: State,
    limit: usize,
    sender: bool,
    recipients: usize,
    data: Vec<u8>,
    overlong: bool,
}

impl Session {
    /// A session that takes mails of at most `limit` bytes.
    pub(super) const fn new(limit: usize) -> Self {
        Self { state: State::Command, limit, sender: false, recipients: 0, data: Vec::new(), overlong: false }
    }

    /// Takes a line with its line ending.
    pub(super) fn take(&mut self, line: &[u8]) -> Step {
        match self.state {
            State::Command => self.command(&String::from_utf8_lossy(line)),
            State::Password { lines } => self.password(lines),
            State::Data => self.data_line(line),
        }
    }

    fn command(&mut self, line: &str) -> Step {
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.greet(&format!("250-inbox\r\n250-8BITMIME\r\n250-SIZE {}\r\n250 AUTH PLAIN LOGIN", self.limit))
            }
            "HELO" => self.greet("250 inbox"),
            "AUTH" => self.authenticate(argument),
            "MAIL" => {
                self.reset();
                self.sender = true;
                say("250 ok")
            }
            "RCPT" if !self.sender => say("503 MAIL comes first"),
            "RCPT" => {
                self.recipients += 1;
                say("250 ok")
            }
            "DATA" if self.recipients == 0 => say("503 RCPT comes first"),
            "DATA" => {
                self.state = State::Data;
                say("354 go on")
            }
            "RSET" => self.greet("250 ok"),
            "NOOP" => say("250 ok"),
            "QUIT" => Step::Close("221 bye".to_owned()),
            _ => say("502 not implemented"),
        }
    }

    fn greet(&mut self, reply: &str) -> Step {
        self.reset();
        say(reply)
    }

    fn authenticate(&mut self, argument: &str) -> Step {
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let lines = match (mechanism.to_ascii_uppercase().as_str(), initial.is_empty()) {
            ("PLAIN", false) => return say("235 welcome"),
            ("PLAIN", true) | ("LOGIN", false) => 1,
            ("LOGIN", true) => 2,
            _ => return say("504 only PLAIN and LOGIN"),
        };
        self.state = State::Password { lines };
        say("334 ")
    }

    fn password(&mut self, lines: u8) -> Step {
        if lines > 1 {
            self.state = State::Password { lines: lines - 1 };
            return say("334 ");
        }
        self.state = State::Command;
        say("235 welcome")
    }

    fn data_line(&mut self, line: &[u8]) -> Step {
        let line = match line {
            b".\r\n" | b".\n" => return self.complete(),
            [b'.', rest @ ..] => rest,
            other => other,
        };
        if self.data.len() + line.len() > self.limit {
            self.overlong = true;
        } else if !self.overlong {
            self.data.extend_from_slice(line);
        }
        Step::Silent
    }

    fn complete(&mut self) -> Step {
        let (mail, overlong) = (std::mem::take(&mut self.data), self.overlong);
        self.state = State::Command;
        self.reset();
        if overlong { Step::TooLong(mail) } else { Step::Mail(mail) }
    }

    fn reset(&mut self) {
        (self.sender, self.recipients, self.overlong) = (false, 0, false);
        self.data.clear();
    }
}

fn say(reply: &str) -> Step {
    Step::Say(reply.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(limit: usize, lines: &[&str]) -> Vec<Step> {
        let mut session = Session::new(limit);
        lines.iter().map(|line| session.take(format!("{line}\r\n").as_bytes())).collect()
    }

    #[test]
    fn a_mail_keeps_its_leading_dots() {
        let steps =
            replies(999, &["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "Subject: x", "", "..dot", "."]);
        assert_eq!(steps[3], say("354 go on"));
        assert_eq!(steps[7], Step::Mail(b"Subject: x\r\n\r\n.dot\r\n".to_vec()));
    }

    #[test]
    fn two_mails_in_one_session_are_kept_apart() {
        let mail = ["MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "one", "."];
        let steps = replies(999, &[&["HELO x"], &mail[..], &["RSET"], &mail[..], &["QUIT"]].concat());
        assert_eq!((&steps[5], &steps[11]), (&Step::Mail(b"one\r\n".to_vec()), &Step::Mail(b"one\r\n".to_vec())));
        assert_eq!(steps[12], Step::Close("221 bye".to_owned()));
    }

    #[test]
    fn any_password_is_welcome() {
        assert_eq!(replies(9, &["AUTH PLAIN AGEAYg=="]), [say("235 welcome")]);
        assert_eq!(replies(9, &["AUTH PLAIN", "AGEAYg=="]), [say("334 "), say("235 welcome")]);
        assert_eq!(replies(9, &["AUTH LOGIN", "YQ==", "Yg=="]), [say("334 "), say("334 "), say("235 welcome")]);
    }

    #[test]
    fn out_of_order_unknown_and_overlong_are_refused() {
        assert_eq!(replies(9, &["DATA"]), [say("503 RCPT comes first")]);
        assert_eq!(replies(9, &["RCPT TO:<a>"]), [say("503 MAIL comes first")]);
        assert_eq!(replies(9, &["STARTTLS"]), [say("502 not implemented")]);
        let steps = replies(9, &["MAIL FROM:<a>", "RCPT TO:<b>", "DATA", "12345", "67890", "."]);
        assert_eq!(steps[5], Step::TooLong(b"12345\r\n".to_vec()));
    }

    proptest::proptest! {
        #[test]
        fn any_body_arrives_as_it_was_sent(lines in proptest::collection::vec("[ -~]{0,20}|\\.{1,3}", 0..20)) {
            let mut session = Session::new(9999);
            for line in ["MAIL FROM:<a>", "RCPT TO:<b>", "DATA"] {
                session.take(format!("{line}\r\n").as_bytes());
            }
            let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            for line in &lines {
                let stuffed = if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") };
                proptest::prop_assert_eq!(session.take(stuffed.as_bytes()), Step::Silent);
            }
            proptest::prop_assert_eq!(session.take(b".\r\n"), Step::Mail(body.into_bytes()));
        }
    }
}
