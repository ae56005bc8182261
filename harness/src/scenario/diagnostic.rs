//! What is wrong with an input file, and where. Fed by the reader and by lint, read by `cli` (text and JSON) and editors.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::source::{LineIndex, Location};

/// Declares the codes with their names and meanings.
macro_rules! codes {
    ($($variant:ident = $name:literal : $meaning:literal,)*) => {
        /// What kind of problem it is; the names are stable and stand in `docs/scenarios.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence on what it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    Unreadable = "unreadable": "The file cannot be read: missing, a directory, or no permission.",
    TooLarge = "too-large": "The file is larger than a scenario may be (1 MiB).",
    TooDeep = "too-deep": "Tables or arrays are nested too deeply.",
    InvalidUtf8 = "invalid-utf-8": "The file is not UTF-8; the byte offset is named.",
    Syntax = "syntax": "The file is not TOML.",
    DuplicateKey = "duplicate-key": "A key stands twice in the same table; both places are shown.",
    UnknownKey = "unknown-key": "A key, kind or setting that does not exist.",
    MissingKey = "missing-key": "A key that is required is missing.",
    WrongType = "wrong-type": "A value has another type than its key needs.",
    OneOf = "one-of": "Exactly one of several keys is needed: none or several were written.",
    UnknownValue = "unknown-value": "A value that is not among those allowed.",
    OutOfRange = "out-of-range": "A number outside its limits, or a list with too few entries.",
    NotFinite = "not-finite": "NaN or infinity, which no threshold can be.",
    InvalidDuration = "invalid-duration": "A duration without unit, negative, zero where it must not be, or malformed.",
    InvalidCondition = "invalid-condition": "A comparison without operator or finite number, or with a unit that does not fit.",
    InvalidName = "invalid-name": "A name that is not kebab-case, too long, or reserved.",
    InvalidValue = "invalid-value": "A text that does not have the form its key needs.",
    InvalidPath = "invalid-path": "A path that leads out of the folder it belongs to.",
    DuplicateName = "duplicate-name": "Two things with the same name or id; both places are shown.",
    Vacuous = "vacuous": "Nothing is expected, so that nothing can fail.",
    UnknownWindow = "unknown-window": "An expectation's window is neither a fault's id nor `baseline`, `recovery` or `run`.",
    EmptyWindow = "empty-window": "A window that has no length: faults that never overlap, or no recovery.",
    Unsatisfiable = "unsatisfiable": "No run can satisfy it: bounds cross, or the window is shorter than what it takes.",
    WithinTooLong = "within-too-long": "More time than the window has.",
    PromiseTooTight = "promise-too-tight": "A promise tighter than the ceiling computed from the configuration; it would flake.",
    NoIntent = "no-intent": "An alert expectation that does not say when the alert must fire.",
    TooClose = "too-close": "A fault drives a signal to within a tenth of the alert's threshold, where the phase of the scrapes decides.",
    EventBudget = "event-budget": "Too few events are expected in the window an alert reads, so that chance decides.",
    OverlappingFaults = "overlapping-faults": "Two faults change the same thing at the same time, so undoing one undoes the other.",
    TimelineTooLong = "timeline-too-long": "The scenario lasts longer than a week of production time.",
    UnknownComponent = "unknown-component": "A component that `stack.toml` does not describe.",
    UnknownLink = "unknown-link": "A link that `stack.toml` does not describe.",
    UnknownSwitch = "unknown-switch": "A fault switch that the component does not have.",
    UnknownReceiver = "unknown-receiver": "A receiver that the Alertmanager configuration does not have.",
    UnknownAlert = "unknown-alert": "An alert that stands in no rule file.",
    WrongLabel = "wrong-label": "A label that the alert's rule sets to another value.",
    UnknownLoad = "unknown-load": "A load or request that the scenario does not have.",
    UnknownSeed = "unknown-seed": "A seed that `stack.toml` does not describe.",
    UnknownJob = "unknown-job": "A scrape job that the Prometheus configuration does not have.",
    Placeholder = "placeholder": "A path with a placeholder that has no generator, or a generator that is never used.",
    Promql = "promql": "A PromQL query that does not parse, or whose result cannot be compared.",
    Logql = "logql": "A LogQL query that does not parse, or whose result does not fit what is asked of it.",
    Contradiction = "contradiction": "Two settings that exclude each other.",
    Ineffective = "ineffective": "A setting that changes nothing.",
    Unsupported = "unsupported": "Part of the language that is read and cannot be run or judged yet.",
    Route = "route": "A case of a routes file that the routing tree does not hold to: somebody else is told, or nobody.",
    Stack = "stack": "The stack or a file it names does not hold water.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It can run, but it is probably not what was meant.
    Warning,
    /// It cannot run: exit code 2.
    Error,
}

/// A problem with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnostic {
    /// What kind of problem.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, with the value in question.
    pub message: String,
    /// Where it begins.
    pub location: Location,
    /// Where it ends.
    pub end: Location,
    /// Other places that belong to it, such as the first of two equal names.
    pub labels: Vec<Label>,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The bytes in the file's text.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// Another place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Label {
    /// Where it begins.
    pub location: Location,
    /// Where it ends.
    pub end: Location,
    /// What it is.
    pub message: String,
    /// The bytes in its file's text.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// A problem as its finder knows it: bytes, no lines yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    code: Code,
    severity: Severity,
    span: Range<usize>,
    message: String,
    labels: Vec<(Range<usize>, String)>,
    help: Option<String>,
}

impl Finding {
    /// An error at some bytes.
    #[must_use]
    pub fn error(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, span, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning at some bytes.
    #[must_use]
    pub fn warning(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Adds another place.
    #[must_use]
    pub fn label(mut self, span: Range<usize>, message: impl Into<String>) -> Self {
        self.labels.push((span, message.into()));
        self
    }

    /// Adds what to try.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to try, if there is something.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = self.help.or(help);
        self
    }

    /// The problem with lines and columns of its file.
    #[must_use]
    pub fn locate(self, file: &str, text: &str) -> Diagnostic {
        self.locate_in(&LineIndex::new(file, text))
    }

    fn locate_in(self, index: &LineIndex<'_>) -> Diagnostic {
        let at = |offset: usize| index.locate(offset);
        let label = |(span, message): (Range<usize>, String)| Label {
            location: at(span.start),
            end: at(span.end),
            message,
            span,
        };
        Diagnostic {
            code: self.code,
            severity: self.severity,
            location: at(self.span.start),
            end: at(self.span.end),
            labels: self.labels.into_iter().map(label).collect(),
            message: self.message,
            help: self.help,
            span: self.span,
        }
    }
}

/// Most problems shown for one file.
const MOST: usize = 100;

/// The problems of one file with lines and columns, in the order of the file, each once; a note stands for those beyond
/// the hundredth.
#[must_use]
pub fn locate_all(mut findings: Vec<Finding>, file: &str, text: &str) -> Vec<Diagnostic> {
    let index = LineIndex::new(file, text);
    findings.sort_by(|a, b| (a.span.start, a.code, &a.message).cmp(&(b.span.start, b.code, &b.message)));
    findings.dedup();
    let more = findings.len().saturating_sub(MOST);
    let errors = findings.iter().skip(MOST).any(|finding| finding.severity == Severity::Error);
    findings.truncate(MOST);
    if more > 0
        && let Some(last) = findings.last_mut()
    {
        last.help = Some(format!("and {more} more problems in this file"));
        if errors {
            last.severity = Severity::Error;
        }
    }
    findings.into_iter().map(|finding| finding.locate_in(&index)).collect()
}

impl Diagnostic {
    /// A problem with a file as a whole: it stands at its first character.
    #[must_use]
    pub fn of_file(code: Code, file: &str, message: impl Into<String>) -> Self {
        Finding::error(code, 0..0, message).locate(file, "")
    }

    /// An error of which only the line and the column are known.
    #[must_use]
    pub fn at(code: Code, location: Location, message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            end: location.clone(),
            location,
            labels: Vec::new(),
            help,
            span: 0..0,
        }
    }

    /// The first line of every rendering: `file:line:column: error[code]: message`.
    #[must_use]
    pub fn headline(&self) -> String {
        format!("{}: {}[{}]: {}", self.location, self.severity.word(), self.code, self.message)
    }
}

impl Severity {
    /// `warning` or `error`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())
    }
}

/// Whether any of them is an error.
#[must_use]
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// All of them as a JSON array, for machines.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    serde_json::to_value(diagnostics).expect("diagnostics are texts and numbers")
}
