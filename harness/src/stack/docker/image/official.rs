//! Official images: here already, or pulled; held against the lock.

use std::sync::PoisonError;

use super::call::Here;
use super::lock::is_digest;
use super::{Origin, Pull, Recipe, Resolved, entrypoint};
use crate::clock;
use crate::stack::notice::Fact;
use crate::stack::spec::Image;

/// Why an official image is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It cannot be had; something else may be used.
    Unavailable(String),
    /// It is another one than was locked; nothing else may be used.
    Digest(String),
}

impl Recipe<'_> {
    /// Finds or pulls an image. With `spared`, a registry is not asked for what is not here: there is something to use.
    pub(super) async fn official(&self, image: &Image, reference: &str, spared: bool) -> Result<Resolved, Refusal> {
        let unavailable = |error: &dyn std::fmt::Display| Refusal::Unavailable(format!("failed to {error}"));
        let wanted = self.wanted(image, reference);
        let here = self.engine.image(reference).await.map_err(|error| unavailable(&error))?;
        let here = match (here, self.pull) {
            (Some(here), Pull::Never | Pull::Missing) => here,
            (None, Pull::Never) => {
                return Err(Refusal::Unavailable("it is not here, and nothing is pulled".to_owned()));
            }
            (None, Pull::Missing) if spared => return Err(Refusal::Unavailable("it is not here".to_owned())),
            (None, Pull::Missing) | (_, Pull::Always) => self.fetch(reference, wanted.as_deref()).await?,
        };
        check(reference, &here, wanted.as_deref())?;
        let digest = here.digests.iter().filter_map(|it| it.split_once('@')).map(|(_, digest)| digest.to_owned());
        Ok(Resolved {
            entrypoint: entrypoint(image),
            origin: Origin::Registry,
            version: image.tag.clone().unwrap_or_else(|| "latest".to_owned()),
            reference: reference.to_owned(),
            size: here.size,
            digest: wanted.clone().or_else(|| digest.min()),
            pinned: wanted.is_some(),
        })
    }

    /// The digest that an image must have: by the stack file, else by the lock.
    pub(super) fn wanted(&self, image: &Image, reference: &str) -> Option<String> {
        image.digest.clone().or_else(|| self.lock.digest(reference).map(str::to_owned))
    }

    /// The registry's digest for a tag; a registry that was silent once is not asked again.
    pub(super) async fn registry_digest(&self, reference: &str) -> Result<String, String> {
        self.heard(reference)?;
        self.engine.registry_digest(reference).await.map_err(|message| self.note(reference, message))
    }

    async fn fetch(&self, reference: &str, wanted: Option<&str>) -> Result<Here, Refusal> {
        if let Some(wanted) = wanted {
            // before anything is downloaded
            let now = self.registry_digest(reference).await.map_err(Refusal::Unavailable)?;
            if now != wanted {
                return Err(Refusal::Digest(differs(reference, &format!("the registry has {now}"), wanted)));
            }
        }
        self.heard(reference).map_err(Refusal::Unavailable)?;
        let (what, begun) = (format!("image {reference}"), clock::instant());
        let tenth = std::sync::atomic::AtomicU64::new(u64::MAX);
        let told = |done: u64, total: u64| {
            // nothing is known before the first layer has a size
            let Some(now) = (done * 10).checked_div(total) else { return };
            if tenth.swap(now, std::sync::atomic::Ordering::Relaxed) != now {
                self.notices.tell(Fact::Pulling { what: what.clone(), done, total });
            }
        };
        let pulled = self.engine.pull(reference, told).await;
        pulled.map_err(|message| Refusal::Unavailable(self.note(reference, message)))?;
        let took = clock::instant().duration_since(begun);
        self.notices.tell(Fact::Fetched { what: what.clone(), took });
        let here = self.engine.image(reference).await;
        let here = here.map_err(|error| Refusal::Unavailable(format!("failed to {error}")))?;
        here.ok_or_else(|| Refusal::Unavailable("it was pulled and is not here".to_owned()))
    }

    fn heard(&self, reference: &str) -> Result<(), String> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.get(registry(reference)).map_or(Ok(()), |message| Err(message.clone()))
    }

    /// Remembers a registry that cannot be reached.
    fn note(&self, reference: &str, message: String) -> String {
        if is_silence(&message) {
            let registry = registry(reference);
            let message = format!("registry {registry} cannot be reached: {message}");
            let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            return silent.entry(registry.to_owned()).or_insert(message).clone();
        }
        message
    }
}

fn check(reference: &str, here: &Here, wanted: Option<&str>) -> Result<(), Refusal> {
    let Some(wanted) = wanted else { return Ok(()) };
    if !is_digest(wanted) {
        return Err(Refusal::Digest(format!("`{wanted}` in the stack file is not a digest")));
    }
    if here.digests.iter().any(|digest| digest.split_once('@').is_some_and(|(_, digest)| digest == wanted)) {
        return Ok(());
    }
    let found = match here.digests.first() {
        Some(digest) => format!("the one here is {digest}"),
        None => "the one here came from no registry".to_owned(),
    };
    Err(Refusal::Digest(differs(reference, &found, wanted)))
}

fn differs(reference: &str, found: &str, wanted: &str) -> String {
    format!(
        "{reference} is not what was locked: {found}, the lock says {wanted}; if the change is wanted, \
         write the lock anew with `harness stack images --lock` and pull with `--pull always`"
    )
}

/// The registry that a reference names: its first part, if that looks like a host.
#[must_use]
pub fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// Whether the engine's words say that nobody answered, rather than that the answer was no.
fn is_silence(message: &str) -> bool {
    const SILENCE: [&str; 9] = [
        "no such host",
        "did not answer",
        "connection refused",
        "i/o timeout",
        "Client.Timeout",
        "TLS handshake timeout",
        "network is unreachable",
        "no route to host",
        "server misbehaving",
    ];
    SILENCE.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_a_host_or_the_default() {
        for (reference, host) in [
            ("prom/prometheus:v3", "docker.io"),
            ("redis:8", "docker.io"),
            ("quay.io/prometheuscommunity/postgres-exporter:v1", "quay.io"),
            ("127.0.0.1:5000/tiny:1", "127.0.0.1:5000"),
            ("localhost/tiny:1", "localhost"),
        ] {
            assert_eq!(registry(reference), host);
        }
    }

    #[test]
    fn no_answer_is_told_from_a_refusal() {
        assert!(is_silence(
            "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host"
        ));
        assert!(is_silence("dial tcp 127.0.0.1:1: connect: connection refused"));
        assert!(!is_silence("manifest for tiny:2 not found: manifest unknown"));
        assert!(!is_silence("pull access denied for tiny, repository does not exist"));
    }

    #[test]
    fn an_image_of_another_digest_or_of_none_is_refused() {
        let digest = |of: char| format!("sha256:{}", of.to_string().repeat(64));
        let here = Here { digests: vec![format!("tiny@{}", digest('a'))], size: 1 };
        assert_eq!(check("tiny:1", &here, None), Ok(()));
        assert_eq!(check("tiny:1", &here, Some(&digest('a'))), Ok(()));
        let Err(Refusal::Digest(reason)) = check("tiny:1", &here, Some(&digest('b'))) else { panic!("it was used") };
        assert!(reason.contains(&digest('a')) && reason.contains(&digest('b')), "{reason}");
        let loaded = Here::default();
        assert!(matches!(check("tiny:1", &loaded, Some(&digest('a'))), Err(Refusal::Digest(_))));
    }
}
