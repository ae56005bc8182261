//! Pull, lock and refusal against a real engine and a registry that is a stub on loopback. Engines accept registries
//! without TLS on 127.0.0.0/8. Without an engine these tests say aloud that they were skipped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::lock::Lock;
use super::survey::Source;
use super::*;
use crate::stack::notice::{Fact, Notice};
use crate::stack::spec::Spec;
use crate::stack::testing::{open, unique};

/// What a registry serves, by path: content type and body.
type Shelf = Arc<Mutex<BTreeMap<String, (String, Vec<u8>)>>>;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry of API version 2 that only reads, until the test ends.
struct Registry {
    address: std::net::SocketAddr,
    shelf: Shelf,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shelf) = (listener.local_addr().unwrap(), Shelf::default());
        let served = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &shelf));
            }
        });
        Self { address, shelf }
    }

    /// Puts an image with one layer that holds `text` under a tag; its digest.
    fn put(&self, tag: &str, text: &str) -> String {
        let layer = layer(text);
        let config = format!(
            "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{\"Cmd\":[\"/{text}\"]}},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\"]}}}}",
            sha(&layer)
        )
        .into_bytes();
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\
             \"application/vnd.docker.container.image.v1+json\",\"size\":{},\"digest\":\"{}\"}},\"layers\":[{{\
             \"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar\",\"size\":{},\"digest\":\"{}\"}}]}}",
            config.len(),
            sha(&config),
            layer.len(),
            sha(&layer)
        )
        .into_bytes();
        let digest = sha(&manifest);
        let mut shelf = self.shelf.lock().unwrap();
        let octets = "application/octet-stream".to_owned();
        for blob in [config, layer] {
            shelf.insert(format!("/v2/tiny/blobs/{}", sha(&blob)), (octets.clone(), blob));
        }
        for reference in [tag, &digest] {
            shelf.insert(format!("/v2/tiny/manifests/{reference}"), (MANIFEST.to_owned(), manifest.clone()));
        }
        digest
    }
}

fn sha(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A tar archive of one file.
fn layer(text: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..text.len()].copy_from_slice(text.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", text.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(text.as_bytes());
    archive.resize(512 * 4, 0);
    archive
}

fn serve(stream: TcpStream, shelf: &Shelf) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            line.clear();
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let found = if path == "/v2/" {
            Some(("application/json".to_owned(), b"{}".to_vec()))
        } else {
            shelf.lock().unwrap().get(path).cloned()
        };
        let (status, kind, body) = match found {
            Some((kind, body)) => ("200 OK", kind, body),
            None => {
                let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec();
                ("404 Not Found", "application/json".to_owned(), body)
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ndocker-content-digest: {}\r\n\
             docker-distribution-api-version: registry/2.0\r\n\r\n",
            body.len(),
            sha(&body)
        );
        let body = if method == "HEAD" { &[][..] } else { &body };
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).is_err() {
            return;
        }
    }
}

/// A stack file with one image, and what a recipe needs.
struct Bench {
    folder: tempfile::TempDir,
    engine: Engine,
    session: Arc<Session>,
    notices: Notices,
    facts: UnboundedReceiver<Notice>,
    spec: Spec,
    reference: String,
}

impl Bench {
    /// None, said aloud, where no engine answers.
    async fn new(name: &str, registry: std::net::SocketAddr) -> Option<Self> {
        let engine = match Engine::connect().await {
            Ok(engine) => engine,
            Err(error) => {
                let required = std::env::var("HARNESS_TEST_ENGINE").is_ok_and(|value| value == "required");
                assert!(!required, "{name} needs a container engine: failed to {error}");
                let mut err = std::io::stderr().lock();
                writeln!(err, "SKIPPED {name}: failed to {error}").unwrap();
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.toml");
        let repository = format!("{registry}/tiny");
        let text = format!(
            "[service]\ncomponent = \"app\"\nbase-url = \"http://x\"\n[component.app]\n\
             image = {{ name = \"{repository}\", tag = \"1\" }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let spec = Spec::load(&file).unwrap();
        let session = open(folder.path(), &unique(name));
        let (sender, facts) = unbounded_channel();
        let (notices, reference) = (Notices::new(sender), format!("{repository}:1"));
        Some(Self { folder, engine, session, notices, facts, spec, reference })
    }

    async fn resolve(&self, pull: Pull) -> Result<Resolved, ImageError> {
        let engine = self.engine.clone().pulling(pull);
        let places = Places::below(self.folder.path());
        let recipe = Recipe::new(&engine, &self.session, &places, &self.notices, &self.spec).unwrap();
        recipe.resolve("app", &self.spec.components["app"]).await
    }

    async fn listed(&self) -> survey::Row {
        let engine = self.engine.clone().pulling(Pull::Never);
        let places = Places::below(self.folder.path());
        let recipe = Recipe::new(&engine, &self.session, &places, &self.notices, &self.spec).unwrap();
        recipe.survey(&self.spec, &["app"]).await.remove(0)
    }

    fn write_lock(&self, digest: &str) {
        let digests = BTreeMap::from([(self.reference.clone(), digest.to_owned())]);
        Lock::of(digests).write(&self.spec.file).unwrap();
    }

    async fn end(self) {
        self.engine.forget_image(&self.reference).await;
        let session = Arc::into_inner(self.session).unwrap();
        assert_eq!(tokio::task::spawn_blocking(|| session.close()).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_once_locked_and_a_changed_one_is_refused() {
    let registry = Registry::start();
    let Some(mut bench) = Bench::new("registry", registry.address).await else { return };
    let first = registry.put("1", "one");

    let never = bench.resolve(Pull::Never).await.unwrap_err().to_string();
    assert!(never.contains("nothing is pulled"), "{never}");
    let row = bench.listed().await;
    assert_eq!((row.source, row.here, row.digest.as_deref()), (Source::Registry, false, Some(first.as_str())));

    let pulled = bench.resolve(Pull::Missing).await.unwrap();
    assert_eq!((pulled.digest.as_deref(), pulled.pinned), (Some(first.as_str()), false));
    assert!(pulled.source().ends_with("(unpinned)"));
    let told: Vec<Fact> = std::iter::from_fn(|| bench.facts.try_recv().ok()).map(|notice| notice.what).collect();
    assert!(told.iter().any(|fact| matches!(fact, Fact::Fetched { what, .. } if what.contains("tiny"))), "{told:?}");

    // the lock is the registry's word
    let digest = bench.engine.registry_digest(&bench.reference).await.unwrap();
    assert_eq!(digest, first);
    bench.write_lock(&digest);
    let locked = bench.resolve(Pull::Never).await.unwrap();
    assert!(locked.pinned && !locked.source().contains("unpinned"));

    // the tag moves: what is here stays in use, and nothing else is pulled
    let second = registry.put("1", "two");
    assert!(bench.resolve(Pull::Missing).await.unwrap().pinned);
    let refused = bench.resolve(Pull::Always).await.unwrap_err();
    assert!(matches!(refused, ImageError::Refused { .. }), "{refused}");
    let words = refused.to_string();
    assert!(words.contains(&first) && words.contains(&second) && words.contains("--lock"), "{words}");
    assert_eq!(bench.listed().await.digest.as_deref(), Some(first.as_str()), "nothing was pulled");

    // another lock: what is here is refused, although it runs
    bench.write_lock(&second);
    assert!(matches!(bench.resolve(Pull::Missing).await, Err(ImageError::Refused { .. })));
    assert_eq!(bench.listed().await.source, Source::Refused);
    let fresh = bench.resolve(Pull::Always).await.unwrap();
    assert_eq!((fresh.digest.as_deref(), fresh.pinned), (Some(second.as_str()), true));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_nobody_answers_for_fails_at_once_and_is_asked_once() {
    // a port that was free a moment ago
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Some(bench) = Bench::new("silent", address).await else { return };
    let begun = crate::clock::instant();
    let refused = bench.resolve(Pull::Missing).await.unwrap_err().to_string();
    assert!(crate::clock::instant().duration_since(begun) < std::time::Duration::from_secs(10));
    assert!(refused.contains("cannot be reached") && refused.contains(&address.to_string()), "{refused}");
    assert_eq!(bench.listed().await.source, Source::Nothing);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_from_a_folder_is_built_once_for_the_same_content() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Some(mut bench) = Bench::new("folder", address).await else { return };
    let root = bench.folder.path().to_path_buf();
    let write = |file: &str, text: &str| {
        let path: &Path = &root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let name = format!("{}-app", bench.session.run());
    write("image/Dockerfile", "FROM scratch\nCOPY out/program /program\nUSER 65534:65534\nENTRYPOINT [\"/program\"]\n");
    write("out/program", "one");
    write("out/other", "not part of it");
    let head = format!("[service]\ncomponent = \"{name}\"\nbase-url = \"http://x\"\n");
    let text = format!("{head}[component.{name}]\nimage = {{ build = \"image\", files = [\"out/program\"] }}\n");
    write("stack.toml", &text);
    bench.spec = Spec::load(&root.join("stack.toml")).unwrap();
    let places = Places::below(&root);
    let engine = bench.engine.clone().pulling(Pull::Never);
    let built = async || {
        let recipe = Recipe::new(&engine, &bench.session, &places, &bench.notices, &bench.spec).unwrap();
        recipe.resolve(&name, &bench.spec.components[&name]).await.unwrap()
    };
    let one = built().await;
    assert_eq!(one.origin, Origin::Folder("image".into()));
    assert_eq!(built().await.reference, one.reference);
    write("out/other", "changed");
    assert_eq!(built().await.reference, one.reference, "what is not copied does not count");
    write("out/program", "two");
    let two = built().await;
    assert_ne!(two.reference, one.reference);
    for reference in [&one.reference, &two.reference] {
        bench.engine.forget_image(reference).await;
    }
    bench.end().await;
}
