//! A program that is used beside any stack: found as components are, on `PATH`, else in its Debian package.

use std::path::PathBuf;

use super::debian::{Debian, Fetch};
use super::local::on_path;
use super::notice::Notices;
use super::place::Places;
use super::session::Session;
use super::spec::DebianPackage;

/// A Prometheus of this machine; fetched from Debian when there is none.
///
/// # Errors
/// In words, when there is none to be had.
pub async fn prometheus(session: &Session, places: &Places) -> Result<PathBuf, String> {
    if let Some(found) = on_path("prometheus") {
        return Ok(found);
    }
    let package = DebianPackage { package: "prometheus".to_owned(), binary: None, with: Vec::new(), depends: false };
    let (sender, _nobody) = tokio::sync::mpsc::unbounded_channel();
    let debian = Debian::new(places, session, Notices::new(sender));
    match debian.locate(&package, Fetch::Allowed).await {
        Ok(found) => Ok(found.binary),
        Err(error) => Err(format!("`prometheus` is not on PATH, and the harness failed to {error}")),
    }
}
