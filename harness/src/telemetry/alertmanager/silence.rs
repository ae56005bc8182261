//! Silences: listed for every drill (state left by an earlier run hides pages, T43), created and expired for the silence
//! fault. These two are the only writes to a watcher in `telemetry`.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Error;
use super::super::document::Node;
use super::Alertmanager;
use crate::clock::Stamp;

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Alertmanager's id.
    pub id: String,
    /// Where it is in its life.
    pub state: SilenceState,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Begin.
    pub starts_at: Option<Stamp>,
    /// End.
    pub ends_at: Option<Stamp>,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SilenceState {
    /// Not begun.
    Pending,
    /// In force.
    Active,
    /// Over.
    Expired,
}

/// A label matcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// How the value is compared.
    pub operator: MatchOperator,
    /// Text or regular expression.
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// A silence to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// All must match; at least one must not match the empty string.
    pub matchers: Vec<Matcher>,
    /// Begin; Alertmanager moves a begin in the past to now.
    pub starts_at: Stamp,
    /// End.
    pub ends_at: Stamp,
    /// Who makes it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// All silences, expired ones included.
///
/// # Errors
/// See [`Error`].
pub async fn list(server: &Alertmanager) -> Result<Vec<Silence>, Error> {
    server.list("api/v2/silences", &[], read_silence).await
}

/// Creates a silence and answers its id.
///
/// # Errors
/// [`Error::Refused`] when Alertmanager does not take it; see [`Error`].
pub async fn create(server: &Alertmanager, silence: &NewSilence) -> Result<String, Error> {
    let matcher = |matcher: &Matcher| {
        let regex = matches!(matcher.operator, MatchOperator::Matches | MatchOperator::MatchesNot);
        let equal = matches!(matcher.operator, MatchOperator::Equal | MatchOperator::Matches);
        json!({"name": matcher.name, "value": matcher.value, "isRegex": regex, "isEqual": equal})
    };
    let document = json!({
        "matchers": silence.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "startsAt": rfc3339(silence.starts_at),
        "endsAt": rfc3339(silence.ends_at),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    });
    let reply = server.endpoint.post("api/v2/silences", &document).await?;
    let document = reply.json()?;
    Ok(Node::root(&document, &reply.url).member("silenceID")?.text()?.to_owned())
}

/// Ends a silence now.
///
/// # Errors
/// [`Error::Refused`] with 404 when there is none with this id; see [`Error`].
pub async fn expire(server: &Alertmanager, id: &str) -> Result<(), Error> {
    server.endpoint.delete(&format!("api/v2/silence/{id}")).await.map(drop)
}

fn rfc3339(at: Stamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::MAX).to_string()
}

fn read_silence(node: &Node<'_>) -> Result<Silence, Error> {
    let state = node.member("status")?.member("state")?;
    Ok(Silence {
        id: node.member("id")?.text()?.to_owned(),
        state: match state.text()? {
            "pending" => SilenceState::Pending,
            "active" => SilenceState::Active,
            "expired" => SilenceState::Expired,
            _ => return Err(state.expected("`pending`, `active` or `expired`")),
        },
        matchers: node.optional_items("matchers")?.iter().map(read_matcher).collect::<Result<_, _>>()?,
        starts_at: node.time_or_never("startsAt")?,
        ends_at: node.time_or_never("endsAt")?,
        created_by: node.text_or_empty("createdBy")?,
        comment: node.text_or_empty("comment")?,
    })
}

fn read_matcher(node: &Node<'_>) -> Result<Matcher, Error> {
    let regex = node.member("isRegex")?.truth()?;
    let equal = node.optional("isEqual").map_or(Ok(true), |equal| equal.truth())?;
    let operator = match (equal, regex) {
        (true, false) => MatchOperator::Equal,
        (false, false) => MatchOperator::NotEqual,
        (true, true) => MatchOperator::Matches,
        (false, true) => MatchOperator::MatchesNot,
    };
    Ok(Matcher {
        name: node.member("name")?.text()?.to_owned(),
        operator,
        value: node.member("value")?.text()?.to_owned(),
    })
}
