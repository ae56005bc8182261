//! Moves bytes between a mail connection and its [`Session`], and does what the receiver is told to do.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Answer, Behaviour, Delivery, Shared, Slot};
use super::content;
use super::session::{Session, Step};

/// Longer lines end the connection; RFC 5321 allows 1000 bytes, Alertmanager's quoted-printable bodies use 78.
const LONGEST_LINE: u64 = 16 << 10;
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Accepts until told to stop.
pub(in crate::inbox) async fn serve(
    listener: TcpListener,
    slot: Slot,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let (slot, shared, stop) = (slot.clone(), Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // A dialogue that breaks off is the sender's affair.
                _ = dialogue(stream, &slot, &shared) => {}
            }
        });
    }
}

/// Talks until either side ends it.
async fn dialogue(stream: TcpStream, slot: &Slot, shared: &Shared) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut session = Session::new(shared.limits.message);
    say(&mut writer, "220 inbox ESMTP").await?;
    while let Some(line) = next_line(&mut reader, shared.limits.patience).await? {
        match session.take(&line) {
            Step::Silent => {}
            Step::Say(reply) => say(&mut writer, &reply).await?,
            Step::Close(reply) => return say(&mut writer, &reply).await,
            Step::Mail(mail) => deliver(&mut writer, slot, shared, &mail).await?,
            Step::TooLong(mail) => {
                let defect = format!("the mail is longer than {} bytes", shared.limits.message);
                let delivery = Delivery::new(shared, slot, &mail, Err(defect));
                say(&mut writer, "552 the mail is too long").await?;
                delivery.answered(552);
            }
        }
    }
    Ok(())
}

async fn deliver(writer: &mut OwnedWriteHalf, slot: &Slot, shared: &Shared, mail: &[u8]) -> std::io::Result<()> {
    let content = content::read(mail);
    let readable = content.is_ok();
    let delivery = Delivery::new(shared, slot, mail, content);
    let code = match shared.next(&slot.receiver) {
        _ if !readable => 554,
        Behaviour::Accept => 250,
        Behaviour::Answer(Answer { status, after, .. }) => {
            tokio::time::sleep(after).await;
            match status {
                None => 250,
                Some(429 | 500..) => 451,
                Some(_) => 554,
            }
        }
        Behaviour::Hang | Behaviour::Dead => std::future::pending().await,
    };
    say(writer, &format!("{code} {}", if code == 250 { "ok" } else { "refused by the drill" })).await?;
    delivery.answered(code);
    Ok(())
}

/// The next line with its ending; `None` at the end, after a silence, and at a line that is too long.
async fn next_line(reader: &mut BufReader<OwnedReadHalf>, patience: Duration) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let reading = async { (&mut *reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await };
    match tokio::time::timeout(patience, reading).await {
        Ok(read) => read.map(|_| line.ends_with(b"\n").then_some(line)),
        Err(_) => Ok(None),
    }
}

async fn say(writer: &mut OwnedWriteHalf, reply: &str) -> std::io::Result<()> {
    writer.write_all(format!("{reply}\r\n").as_bytes()).await
}
