//! The inbox over real sockets: what arrives, what is refused, what is limited.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const WEBHOOK: &[u8] = include_bytes!("golden/webhook-firing.json");
const MAIL: &str =
    "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: [FIRING:1] A\r\n\r\n..dot\r\n.\r\nQUIT\r\n";

fn inbox(limits: Limits) -> (Inbox, UnboundedReceiver<Message>) {
    Inbox::with_limits(Clock::start(), Ipv4Addr::LOCALHOST.into(), limits)
}

async fn post(url: &str, body: impl Into<reqwest::Body>) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(url).body(body).send().await.unwrap().status().as_u16()
}

async fn send_mail(address: &str, dialogue: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(dialogue.as_bytes()).await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    replies
}

#[tokio::test]
async fn a_message_arrives_with_who_what_and_when() {
    let clock = Clock::start();
    let (inbox, mut messages) = Inbox::start(clock, Ipv4Addr::LOCALHOST.into());
    let url = inbox.url("team/pager", Kind::Webhook, 0).unwrap();
    assert_eq!(inbox.url("team/pager", Kind::Webhook, 0).unwrap(), url);
    let before = clock.now();
    assert_eq!(post(&url, WEBHOOK).await, 200);
    let message = messages.recv().await.unwrap();
    assert_eq!((message.receiver.as_str(), message.kind, message.answered), ("team/pager", Kind::Webhook, 200));
    assert!(before <= message.received && message.received <= clock.now());
    assert_eq!((message.alerts.len(), message.defect), (2, None));
    inbox.shutdown().await;
    assert_eq!(messages.recv().await, None);
}

#[tokio::test]
async fn only_the_random_path_is_an_inbox_x27() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    let (base, path) = url.split_at(url.find('/').unwrap() + 2);
    let host = path.split('/').next().unwrap();
    for path in ["", "/", "/pager/webhook/0", "/0/pager/webhook/0"] {
        assert_eq!(post(&format!("{base}{host}{path}"), WEBHOOK).await, 404, "{path}");
    }
    assert_eq!(post(&format!("{url}/more"), WEBHOOK).await, 404);
    assert_eq!(post(&format!("{url}1"), WEBHOOK).await, 404);
    let opsgenie = inbox.url("pager", Kind::Opsgenie, 0).unwrap();
    assert_eq!(post(&format!("{opsgenie}/v2/alerts"), r#"{"message":"m"}"#).await, 202);
    assert_eq!(messages.recv().await.unwrap().kind, Kind::Opsgenie, "nothing was recorded for the other paths");
}

#[tokio::test]
async fn what_is_too_long_or_no_message_is_refused_and_kept_as_evidence_b70() {
    let (inbox, mut messages) = inbox(Limits { message: 2000, ..Limits::default() });
    let url = inbox.url("chat", Kind::Slack, 0).unwrap();
    assert_eq!(post(&url, "not JSON").await, 400);
    let refused = messages.recv().await.unwrap();
    assert_eq!((refused.answered, refused.raw.as_str()), (400, "not JSON"));
    assert!(refused.defect.unwrap().contains("not JSON"));
    assert_eq!(post(&url, "x".repeat(2001)).await, 413);
    let chunks = futures_util::stream::iter((0..30).map(|_| Ok::<_, std::io::Error>("x".repeat(100))));
    assert_eq!(post(&url, reqwest::Body::wrap_stream(chunks)).await, 413);
    for _ in 0..2 {
        let refused = messages.recv().await.unwrap();
        assert_eq!((refused.answered, refused.defect.as_deref()), (413, Some("the body is longer than 2000 bytes")));
    }
}

#[tokio::test]
async fn a_slow_sender_blocks_nobody_and_is_cut_off_b72() {
    let (inbox, mut messages) = inbox(Limits { patience: Duration::from_millis(200), ..Limits::default() });
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut in_headers = TcpStream::connect(host).await.unwrap();
    in_headers.write_all(b"POST / HTTP/1.1\r\nHo").await.unwrap();
    let mut in_body = TcpStream::connect(host).await.unwrap();
    let head = format!("POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{");
    in_body.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(post(&url, WEBHOOK).await, 200);
    assert_eq!(messages.recv().await.unwrap().alerts.len(), 2);
    let mut reply = Vec::new();
    in_headers.read_to_end(&mut reply).await.unwrap();
    in_body.read_to_end(&mut reply).await.unwrap();
    assert_eq!(messages.recv().await.unwrap().answered, 408);
}

#[tokio::test]
async fn a_refusing_receiver_still_records_each_attempt_t38() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Pagerduty, 0).unwrap();
    inbox.set_behaviour("pager", Behaviour::refuse(503)).await.unwrap();
    let body = || &include_bytes!("golden/pagerduty-trigger.json")[..];
    assert_eq!(post(&url, body()).await, 503);
    inbox.set_behaviour("pager", Behaviour::Accept).await.unwrap();
    assert_eq!(post(&url, body()).await, 202);
    let attempts = [messages.recv().await.unwrap(), messages.recv().await.unwrap()];
    assert_eq!(attempts.each_ref().map(|message| message.answered), [503, 202]);
    assert!(attempts.iter().all(|message| message.alerts.len() == 2 && !message.raw.contains("0123456789abcdef")));
}

#[tokio::test]
async fn a_hanging_receiver_records_the_message_as_unanswered() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    let mail = inbox.url("pager", Kind::Email, 0).unwrap();
    inbox.set_behaviour("pager", Behaviour::Hang).await.unwrap();
    let hanging = tokio::time::timeout(Duration::from_millis(100), post(&url, WEBHOOK)).await;
    assert!(hanging.is_err());
    assert_eq!(messages.recv().await.unwrap().answered, 0);
    let sending = tokio::spawn(async move { send_mail(&mail, MAIL).await });
    let mut others = inbox.url("chat", Kind::Webhook, 0).unwrap();
    others.push('/');
    assert_eq!(post(&others, WEBHOOK).await, 200);
    assert_eq!(messages.recv().await.unwrap().receiver, "chat");
    inbox.shutdown().await;
    drop(sending.await);
}

#[tokio::test]
async fn a_delaying_receiver_answers_late() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    inbox.set_behaviour("pager", Behaviour::delay(Duration::from_millis(150))).await.unwrap();
    let before = crate::clock::instant();
    assert_eq!(post(&url, WEBHOOK).await, 200);
    assert!(crate::clock::instant().duration_since(before) >= Duration::from_millis(150));
    assert_eq!(messages.recv().await.unwrap().answered, 200);
}

#[tokio::test]
async fn a_mail_arrives_for_the_receiver_whose_port_it_was_sent_to() {
    let (inbox, mut messages) = inbox(Limits::default());
    let addresses = ["ops", "dev"].map(|receiver| inbox.url(receiver, Kind::Email, 0).unwrap());
    let replies = send_mail(&addresses[1], MAIL).await;
    assert!(replies.ends_with("354 go on\r\n250 ok\r\n221 bye\r\n"), "{replies}");
    let mail = messages.recv().await.unwrap();
    assert_eq!((mail.receiver.as_str(), mail.answered, mail.status), ("dev", 250, Status::Firing));
    assert_eq!((mail.title.as_str(), mail.text.as_str()), ("[FIRING:1] A", ".dot"));
}

#[tokio::test]
async fn a_mail_is_refused_for_now_or_for_good() {
    let (inbox, mut messages) = inbox(Limits { message: 40, ..Limits::default() });
    let address = inbox.url("ops", Kind::Email, 0).unwrap();
    for (status, code) in [(503, 451), (400, 554)] {
        inbox.set_behaviour("ops", Behaviour::refuse(status)).await.unwrap();
        assert!(send_mail(&address, MAIL).await.contains(&format!("\r\n{code} ")));
        assert_eq!(messages.recv().await.unwrap().answered, code);
    }
    let long = MAIL.replace("..dot", &"x".repeat(100));
    assert!(send_mail(&address, &long).await.contains("\r\n552 "));
    assert_eq!(messages.recv().await.unwrap().defect.as_deref(), Some("the mail is longer than 40 bytes"));
}

#[tokio::test]
async fn a_knock_is_answered_as_a_message_would_be_and_leaves_none() {
    let (inbox, mut messages) = inbox(Limits::default());
    assert!(inbox.opens("pager").await.unwrap_err().contains("no integration"));
    inbox.url("pager", Kind::Webhook, 0).unwrap();
    inbox.url("pager", Kind::Email, 0).unwrap();
    assert_eq!(inbox.opens("pager").await, Ok(()));
    inbox.set_behaviour("pager", Behaviour::refuse(500)).await.unwrap();
    assert!(inbox.opens("pager").await.unwrap_err().contains("500"));
    inbox.set_behaviour("pager", Behaviour::Dead).await.unwrap();
    assert!(inbox.opens("pager").await.unwrap_err().contains("refuse"));
    inbox.set_behaviour("pager", Behaviour::Accept).await.unwrap();
    assert_eq!(inbox.opens("pager").await, Ok(()));
    inbox.shutdown().await;
    assert!(messages.recv().await.is_none(), "a knock is no message");
}

#[tokio::test]
async fn a_dead_receiver_refuses_connections_and_lives_again_on_the_same_port_s34() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    let mail = inbox.url("pager", Kind::Email, 0).unwrap();
    let other = inbox.url("chat", Kind::Webhook, 0).unwrap();
    let kept = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async || kept.post(&url).body(WEBHOOK).send().await;
    assert_eq!(send().await.unwrap().status(), 200);
    assert!(inbox.knock("pager").await.iter().all(Result::is_ok));
    inbox.set_behaviour("pager", Behaviour::Dead).await.unwrap();
    assert!(send().await.unwrap_err().is_connect(), "a connection that was kept is dead too");
    let refused = TcpStream::connect(&mail).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let knocks = inbox.knock("pager").await;
    assert_eq!(knocks.len(), 2);
    assert!(knocks.iter().all(|knock| knock.as_ref().is_err_and(|text| text.contains("refuses connections"))));
    assert_eq!(post(&other, WEBHOOK).await, 200, "the others live");
    inbox.set_behaviour("pager", Behaviour::Accept).await.unwrap();
    assert_eq!(send().await.unwrap().status(), 200);
    assert!(send_mail(&mail, MAIL).await.contains("250 ok"));
    let receivers: Vec<String> = [messages.recv().await, messages.recv().await, messages.recv().await]
        .into_iter()
        .flatten()
        .map(|m| m.receiver)
        .collect();
    assert_eq!(receivers, ["pager", "chat", "pager"]);
}

#[tokio::test]
async fn only_the_first_messages_are_refused_s35() {
    let (inbox, mut messages) = inbox(Limits::default());
    let url = inbox.url("pager", Kind::Webhook, 0).unwrap();
    let answer = Answer { status: Some(500), messages: Some(2), ..Answer::default() };
    inbox.set_behaviour("pager", Behaviour::Answer(answer)).await.unwrap();
    for expected in [500, 500, 200, 200] {
        assert_eq!(post(&url, WEBHOOK).await, expected);
        assert_eq!(messages.recv().await.unwrap().answered, expected);
    }
    assert_ne!(inbox.behaviour("pager"), Behaviour::Accept, "it is still what was set");
}
