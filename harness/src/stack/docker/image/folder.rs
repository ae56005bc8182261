//! Images built from a folder with a `Dockerfile`: the service's own, from a static binary and nothing else.
//!
//! The build's context is the Dockerfile and the files that the stack file lists, each at its path below the root, so that
//! `docker build -f <folder>/Dockerfile .` in the root does the same.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::call::ASKED;
use super::{Origin, RECIPE, Recipe, Resolved, digest_of, entrypoint};
use crate::clock;
use crate::stack::notice::Fact;
use crate::stack::spec::Image;

impl Recipe<'_> {
    /// Builds the image, unless it was built from the same content before.
    pub(super) async fn folder(&self, name: &str, folder: &str, image: &Image) -> Result<Resolved, String> {
        if let Some(built) = self.built_before(name, folder, image).await? {
            return Ok(built);
        }
        let (asked, hash) = self.content(name, folder, image)?;
        let (begun, reference) = (clock::instant(), format!("harness/{name}:{hash}"));
        self.build(name, folder, image, &reference, &asked).await?;
        let took = clock::instant().duration_since(begun);
        self.notices.tell(Fact::Fetched { what: format!("image {reference}"), took });
        self.engine.remove_older(&asked, &reference).await;
        let built = self.built_before(name, folder, image).await?;
        built.ok_or_else(|| "the engine has built it and does not have it".to_owned())
    }

    /// The image of this very content, if the engine has it.
    pub(super) async fn built_before(
        &self,
        name: &str,
        folder: &str,
        image: &Image,
    ) -> Result<Option<Resolved>, String> {
        let (asked, hash) = self.content(name, folder, image)?;
        let reference = format!("harness/{name}:{hash}");
        let made = self.engine.made_images(&asked).await.map_err(|error| format!("failed to {error}"))?;
        let here = made.into_iter().find(|made| made.reference == reference);
        Ok(here.map(|here| Resolved {
            entrypoint: entrypoint(image),
            origin: Origin::Folder(folder.into()),
            version: hash,
            reference,
            size: here.size,
            digest: None,
            pinned: true,
        }))
    }

    /// Hashes of what is asked for, and of everything that goes in.
    fn content(&self, name: &str, folder: &str, image: &Image) -> Result<(String, String), String> {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("failed to read {}: {error}", path.display()));
        let dockerfile = read(&self.root.join(folder).join("Dockerfile"))?;
        let files: Vec<Vec<u8>> =
            image.files.iter().map(|file| read(&self.root.join(file))).collect::<Result<_, _>>()?;
        let asked = digest_of([RECIPE.to_string().as_bytes(), name.as_bytes(), folder.as_bytes()]);
        let names = image.files.iter().map(String::as_bytes);
        let content = std::iter::once(dockerfile.as_slice()).chain(names).chain(files.iter().map(Vec::as_slice));
        Ok((asked.clone(), digest_of(std::iter::once(asked.as_bytes()).chain(content))))
    }

    async fn build(&self, name: &str, folder: &str, image: &Image, reference: &str, asked: &str) -> Result<(), String> {
        // the session's folder is in the journal
        let work = self.session.folder().join(format!("image-{name}"));
        let context = work.join("context");
        let copy = |from: &Path, to: &Path| {
            let made = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
            made.map(drop).map_err(|error| format!("failed to copy {}: {error}", from.display()))
        };
        copy(&self.root.join(folder).join("Dockerfile"), &context.join("Dockerfile"))?;
        for file in &image.files {
            copy(&self.root.join(file), &context.join(file))?;
        }
        let archive = work.join("context.tar");
        crate::stack::debian::pack(&context, &archive, self.session.run()).await.map_err(|error| error.to_string())?;
        let labels = HashMap::from([(ASKED.to_owned(), asked.to_owned())]);
        let built = self.engine.build(reference, labels, &archive).await;
        fs::remove_dir_all(&work).map_err(|error| format!("failed to remove {}: {error}", work.display()))?;
        built
    }
}
