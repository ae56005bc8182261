//! What is promised beside what was measured.

/// The promises that the tables looked at, and how they fared.
#[derive(Default)]
pub(crate) struct Promises(Vec<Promise>);

struct Promise {
    figure: String,
    wanted: String,
    measured: String,
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Yes,
    No,
    /// What it is to be compared with is not here.
    NotRun,
    /// Not a promise but a goal.
    Goal,
}

impl From<bool> for Held {
    fn from(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

impl Promises {
    pub(crate) fn push(&mut self, figure: impl Into<String>, wanted: impl Into<String>, measured: String, held: Held) {
        self.0.push(Promise { figure: figure.into(), wanted: wanted.into(), measured, held });
    }

    pub(crate) fn all_held(&self) -> bool {
        self.0.iter().all(|promise| promise.held != Held::No)
    }

    pub(crate) fn table(&self) -> String {
        let rows = self.0.iter().map(|Promise { figure, wanted, measured, held }| {
            let held = match held {
                Held::Yes => "yes",
                Held::No => "**no**",
                Held::NotRun => "not run",
                Held::Goal => "a goal",
            };
            format!("\n| {figure} | {wanted} | {measured} | {held} |")
        });
        let head = "\n### Promised and measured\n\n| figure | promised | ours | held |\n|---|---|---|---|";
        head.to_owned() + &rows.collect::<String>()
    }
}
