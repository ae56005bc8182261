//! What a scale cannot do, said before anything starts, and what it changes in meaning, said in the report. Written by the
//! renderer and the findings; read by `lint`, `explain` and the report.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Location;

/// A reason not to run with this scale or these files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ScaleProblem {
    /// The file, relative to the configuration's root.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub help: String,
}

/// Something that does not mean under the scale, or here, what it means in production; the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Caveat {
    /// Where; none for what concerns the whole run.
    pub location: Option<Location>,
    /// The rule, job or receiver concerned; empty for the whole run.
    pub subject: String,
    /// What it means, with numbers.
    pub message: String,
}

impl fmt::Display for ScaleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.message, self.help)
    }
}

impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.message)
    }
}

impl Caveat {
    /// A caveat about the whole run.
    #[must_use]
    pub fn general(message: impl Into<String>) -> Self {
        Self { location: None, subject: String::new(), message: message.into() }
    }
}
