//! A socket between the harness and the container engine that can stop answering. Fed by tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine;

/// What the engine seems to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Answers,
    /// It takes every question and answers none.
    Hangs,
    /// It does everything, and does not answer when it is asked to create a container.
    CreatesInSilence,
}

/// A socket in front of the engine's.
#[derive(Debug)]
pub struct Proxy {
    path: PathBuf,
    mood: Arc<watch::Sender<Mood>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Opens it in `folder`.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn open(folder: &Path, mood: Mood) -> Self {
        let path = folder.join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket can be made in the stand");
        let mood = Arc::new(watch::channel(mood).0);
        let moods = Arc::clone(&mood);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, moods.subscribe()));
            }
        });
        Self { path, mood, serving }
    }

    /// As `DOCKER_HOST` names it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Carries bytes both ways; what is asked while the engine hangs is lost, as if its answer never came.
async fn carry(client: UnixStream, mut mood: watch::Receiver<Mood>) {
    let Ok(engine) = UnixStream::connect(engine::socket()).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let (silent, told) = watch::channel(false);
    let mut answers = mood.clone();
    let asking = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = from_client.read(&mut bytes).await.unwrap_or(0);
            if count == 0 {
                return;
            }
            let now = *mood.borrow_and_update();
            let head = String::from_utf8_lossy(&bytes[..count.min(200)]).into_owned();
            if now == Mood::CreatesInSilence && head.starts_with("POST") && head.contains("/containers/create") {
                silent.send_replace(true);
            }
            if now == Mood::Hangs {
                std::future::pending::<()>().await;
            }
            if to_engine.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = from_engine.read(&mut bytes).await.unwrap_or(0);
            if count == 0 {
                return;
            }
            if *answers.borrow_and_update() == Mood::Hangs || *told.borrow() {
                std::future::pending::<()>().await;
            }
            if to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(asking, answering);
}
