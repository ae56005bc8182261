//! Annotations: fault windows on the dashboards, so that who looks there sees what the drill did.

use serde_json::json;

use super::super::Error;
use super::super::document::Node;
use super::{Grafana, milliseconds};
use crate::clock::Stamp;

/// A window on all dashboards that show annotations with its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Begin.
    pub from: Stamp,
    /// End.
    pub to: Stamp,
    /// Tags, by which it is found.
    pub tags: Vec<String>,
    /// Text shown.
    pub text: String,
}

/// Posts an annotation and answers its id.
///
/// # Errors
/// [`Error::Auth`] when the user may not; see [`Error`].
pub async fn post(server: &Grafana, annotation: &Annotation) -> Result<u64, Error> {
    let time = |at| milliseconds(at).parse::<i64>().unwrap_or_default();
    let document = json!({
        "time": time(annotation.from),
        "timeEnd": time(annotation.to),
        "tags": annotation.tags,
        "text": annotation.text,
    });
    let reply = server.endpoint.post("api/annotations", &document).await?;
    let answer = reply.json()?;
    let id = Node::root(&answer, &reply.url).member("id")?;
    id.value().as_u64().ok_or_else(|| id.expected("the annotation's id"))
}

/// Removes an annotation.
///
/// # Errors
/// [`Error::Refused`] with 404 when there is none; see [`Error`].
pub async fn delete(server: &Grafana, id: u64) -> Result<(), Error> {
    server.endpoint.delete(&format!("api/annotations/{id}")).await.map(drop)
}
