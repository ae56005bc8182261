//! What is asked of the engine about images: look, pull, ask a registry, build.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions, ListImagesOptions, RemoveImageOptions};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use crate::clock;
use crate::stack::docker::{Engine, EngineError, bounded, said};

/// The label with a hash of what was asked for, to find an image again without knowing what went into it.
pub(super) const ASKED: &str = "harness.recipe";
/// The label with the packages an image is made of.
pub(super) const PACKAGES: &str = "harness.packages";

/// For the registry to say anything.
const FIRST_WORD: Duration = Duration::from_secs(8);
/// Between two words of the registry, and for a whole pull.
const PULL_WITHIN: Duration = Duration::from_secs(600);
/// For a build.
const BUILD_WITHIN: Duration = Duration::from_secs(300);
/// How old an image made here has to be before one that replaced it makes it rubbish: other runs may be about to use it.
const REPLACED_AFTER: Duration = Duration::from_secs(3600);

/// An image that the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    /// `name@sha256:…`, one for each repository it was pulled from.
    pub(super) digests: Vec<String>,
    /// Bytes.
    pub(super) size: u64,
}

/// An image that was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) reference: String,
    pub(super) packages: Vec<String>,
    pub(super) size: u64,
    created: i64,
}

impl Engine {
    /// An image by its reference.
    pub(super) async fn image(&self, reference: &str) -> Result<Option<Here>, EngineError> {
        match bounded(&format!("inspect image {reference}"), self.docker.inspect_image(reference)).await {
            Ok(image) => Ok(Some(Here {
                digests: image.repo_digests.unwrap_or_default(),
                size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            })),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was made here for this, newest first.
    pub(super) async fn made_images(&self, asked: &str) -> Result<Vec<Made>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{ASKED}={asked}")])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let found = bounded("list images", self.docker.list_images(Some(options))).await?;
        let made = |image: bollard::models::ImageSummary| {
            let packages = image.labels.get(PACKAGES).map(|label| label.split(", ").map(str::to_owned).collect());
            Some(Made {
                reference: image.repo_tags.into_iter().find(|tag| tag.starts_with("harness/"))?,
                packages: packages.unwrap_or_default(),
                size: u64::try_from(image.size).unwrap_or_default(),
                created: image.created,
            })
        };
        let mut made: Vec<Made> = found.into_iter().filter_map(made).collect();
        made.sort_by_key(|made| std::cmp::Reverse(made.created));
        Ok(made)
    }

    /// The digest that a registry has for `name:tag` now.
    ///
    /// # Errors
    /// The registry's or the engine's words; within 8 s when nobody answers.
    pub async fn registry_digest(&self, reference: &str) -> Result<String, String> {
        let asked = self.docker.inspect_registry_image(reference, None);
        match tokio::time::timeout(FIRST_WORD, asked).await {
            Ok(Ok(answer)) => answer.descriptor.digest.ok_or_else(|| "the registry names no digest".to_owned()),
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err(silence(FIRST_WORD)),
        }
    }

    /// Pulls; tells how many bytes of how many are here, as far as the engine knows yet.
    pub(super) async fn pull(&self, reference: &str, told: impl Fn(u64, u64)) -> Result<(), String> {
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..Default::default() };
        let mut progress = self.docker.create_image(Some(options), None, None);
        let pulled = async {
            let (mut patience, mut layers) = (FIRST_WORD, Layers::default());
            loop {
                match tokio::time::timeout(patience, progress.next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(step))) => {
                        patience = PULL_WITHIN;
                        layers.take(&step);
                        let (done, total) = layers.bytes();
                        told(done, total);
                    }
                    Ok(Some(Err(error))) => return Err(said(&error)),
                    Err(_) => return Err(silence(patience)),
                }
            }
        };
        tokio::time::timeout(PULL_WITHIN, pulled)
            .await
            .unwrap_or_else(|_| Err(format!("not pulled within {PULL_WITHIN:?}")))
    }

    /// Builds an image from a folder that has been packed: a `Dockerfile` and what it names.
    pub(super) async fn build(
        &self,
        reference: &str,
        labels: HashMap<String, String>,
        context: &Path,
    ) -> Result<(), String> {
        let file = tokio::fs::File::open(context).await.map_err(|error| error.to_string())?;
        let chunks = futures_util::stream::try_unfold(file, async |mut file| {
            let mut chunk = bytes::BytesMut::with_capacity(1 << 20);
            let read = file.read_buf(&mut chunk).await?;
            Ok((read > 0).then(|| (chunk.freeze(), file)))
        });
        let options = BuildImageOptions {
            t: Some(reference.to_owned()),
            labels: Some(labels),
            forcerm: true,
            ..BuildImageOptions::default()
        };
        let mut progress = self.docker.build_image(options, None, Some(bollard::body_try_stream(chunks)));
        let built = async {
            while let Some(step) = progress.next().await {
                step.map_err(|error| said(&error))?;
            }
            Ok(())
        };
        tokio::time::timeout(BUILD_WITHIN, built)
            .await
            .unwrap_or_else(|_| Err(format!("not built within {BUILD_WITHIN:?}")))
    }

    /// Removes what was made for the same purpose before and is not used by a container.
    pub(super) async fn remove_older(&self, asked: &str, newest: &str) {
        let now = clock::wall().0 / 1_000_000;
        let old = i64::try_from(REPLACED_AFTER.as_secs()).unwrap_or_default();
        for made in self.made_images(asked).await.unwrap_or_default() {
            if made.reference != newest && made.created < now - old {
                // one that is used stays; it only takes room
                let removed = self.docker.remove_image(&made.reference, None::<RemoveImageOptions>, None);
                let _ = bounded("remove image", removed).await;
            }
        }
    }
}

#[cfg(test)]
impl Engine {
    /// Removes what a test has pulled or built.
    pub(super) async fn forget_image(&self, reference: &str) {
        let removed = self.docker.remove_image(reference, None::<RemoveImageOptions>, None);
        let _ = bounded("remove image", removed).await;
    }
}

fn silence(patience: Duration) -> String {
    format!("the registry did not answer within {} s", patience.as_secs())
}

/// The layers of a pull: bytes so far, bytes in all.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    fn take(&mut self, step: &CreateImageInfo) {
        let Some(id) = &step.id else { return };
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        match (step.status.as_deref(), &step.progress_detail) {
            (Some("Downloading"), Some(detail)) => {
                if let (Some(current), Some(total)) = (count(detail.current), count(detail.total)) {
                    self.0.insert(id.clone(), (current, total));
                }
            }
            (Some("Download complete" | "Pull complete"), _) => {
                self.0.entry(id.clone()).and_modify(|(current, total)| *current = *total);
            }
            _ => {}
        }
    }

    fn bytes(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(done, all), (current, total)| (done + current, all + total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, status: &str, progress: &str) -> CreateImageInfo {
        let text = format!("{{\"id\":\"{id}\",\"status\":\"{status}\",\"progressDetail\":{progress}}}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn progress_counts_bytes_of_all_layers() {
        let mut layers = Layers::default();
        layers.take(&step("latest", "Pulling from tiny", "{}"));
        layers.take(&step("a", "Downloading", r#"{"current":10,"total":100}"#));
        layers.take(&step("b", "Downloading", r#"{"current":5,"total":50}"#));
        assert_eq!(layers.bytes(), (15, 150));
        layers.take(&step("a", "Download complete", "{}"));
        // unpacking counts from the start again, which is no progress of the download
        layers.take(&step("a", "Extracting", r#"{"current":1,"total":100}"#));
        assert_eq!(layers.bytes(), (105, 150));
    }
}
