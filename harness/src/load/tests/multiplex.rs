//! HTTP/2 with many requests on a connection: the server's limit, its GOAWAY and its resets are honoured, and the ledger
//! stays exact through all of them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the servers of these tests saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    received: AtomicU64,
    answered: AtomicU64,
    /// Streams that the client reset.
    cancelled: AtomicU64,
    /// The most streams there were at a time on one connection.
    most: AtomicU64,
    per_connection: Mutex<BTreeMap<u64, u64>>,
}

impl Seen {
    fn all(&self) -> [u64; 3] {
        [&self.connections, &self.received, &self.answered].map(|counter| counter.load(Ordering::SeqCst))
    }
}

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
enum Act {
    Answer(Duration),
    Reset(Reason),
    Never,
    /// It answers, and takes no more requests on this connection.
    GoAway,
    /// It goes away before it takes anything.
    Leave,
    /// It gives up the connection with everything on it.
    Abort,
    /// It takes nothing more from this connection and says nothing more on it.
    Freeze,
}

/// A server that does what `behave` says about the connection and the request on it, both counted from 0.
async fn server(streams: Option<u32>, behave: impl Fn(u64, u64) -> Act + Send + Sync + 'static) -> (Target, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::resolve(&format!("http://{}", listener.local_addr().unwrap()), Reach::Loopback).unwrap();
    let seen = Arc::new(Seen::default());
    let (shared, behave) = (Arc::clone(&seen), Arc::new(behave));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            let (seen, behave) = (Arc::clone(&shared), Arc::clone(&behave));
            let mut builder = h2::server::Builder::new();
            streams.map(|streams| builder.max_concurrent_streams(streams));
            tokio::spawn(connection(builder, stream, number, seen, behave));
        }
    });
    (target, seen)
}

async fn connection(
    builder: Builder,
    stream: TcpStream,
    number: u64,
    seen: Arc<Seen>,
    behave: Arc<impl Fn(u64, u64) -> Act + Send + Sync + 'static>,
) {
    let mut connection: Connection<TcpStream, bytes::Bytes> = builder.handshake(stream).await.unwrap();
    let (open, mut count) = (Arc::new(AtomicU64::new(0)), 0);
    if matches!(behave(number, 0), Act::Leave) {
        connection.abrupt_shutdown(Reason::NO_ERROR);
    }
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        seen.received.fetch_add(1, Ordering::SeqCst);
        *seen.per_connection.lock().unwrap().entry(number).or_insert(0) += 1;
        seen.most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let act = behave(number, count);
        count += 1;
        match act {
            Act::Answer(delay) => {
                let (seen, open) = (Arc::clone(&seen), Arc::clone(&open));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    answer(respond, &seen);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Act::Reset(reason) => {
                respond.send_reset(reason);
                open.fetch_sub(1, Ordering::SeqCst);
            }
            Act::Never => {
                let (seen, open) = (Arc::clone(&seen), Arc::clone(&open));
                tokio::spawn(async move {
                    let reason = std::future::poll_fn(|context| respond.poll_reset(context)).await;
                    seen.cancelled.fetch_add(u64::from(reason.is_ok_and(|it| it == Reason::CANCEL)), Ordering::SeqCst);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Act::GoAway => {
                answer(respond, &seen);
                connection.graceful_shutdown();
            }
            Act::Leave => {}
            Act::Abort => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            Act::Freeze => std::future::pending().await,
        }
    }
}

fn answer(mut respond: SendResponse<bytes::Bytes>, seen: &Seen) {
    // counted before it is told: a client that gave up in the meantime has been answered all the same
    seen.answered.fetch_add(1, Ordering::SeqCst);
    if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
        drop(body.send_data("{}".into(), true));
    }
}

fn spec(target: Target, model: Model) -> Spec {
    let mut spec = Spec::new("test", target, model, vec![RequestTemplate::get("/")]);
    (spec.lasts, spec.protocol) = (Some(SECOND), Protocol::Http2);
    spec
}

#[tokio::test]
async fn requests_in_flight_share_a_connection() {
    let (target, seen) = server(None, |_, _| Act::Answer(100 * MS)).await;
    let summary = run(spec(target, Model::steady(200.0, 1_000))).await;
    assert_eq!((statuses(&summary), seen.all()), (BTreeMap::from([("200".to_owned(), 200)]), [1, 200, 200]));
    assert!(seen.most.load(Ordering::SeqCst) >= 10, "{seen:?}");
}

#[tokio::test]
async fn no_connection_gets_more_streams_than_its_server_allows_and_nothing_waits_for_one() {
    let (target, seen) = server(Some(4), |_, _| Act::Answer(200 * MS)).await;
    let summary = run(spec(target, Model::steady(100.0, 1_000))).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 100)]));
    let [connections, received, answered] = seen.all();
    assert_eq!((received, answered, seen.most.load(Ordering::SeqCst)), (100, 100, 4));
    // 100/s of 200 ms are 20 at a time; with one connection alone the last would have waited for 4 s
    assert!((5..=30).contains(&connections), "{connections}");
    let latency = summary.whole().latency(None).unwrap();
    assert!(latency.max().unwrap() < 2 * SECOND, "{:?}", latency.max());
}

#[tokio::test]
async fn connections_of_the_closed_model_are_as_many_as_asked_for_with_so_many_streams() {
    for (streams, most) in [(None, 1), (std::num::NonZeroUsize::new(5), 5)] {
        let (target, seen) = server(None, |_, _| Act::Answer(20 * MS)).await;
        let mut spec = spec(target, Model::Connections { count: 3 });
        spec.streams = streams;
        let summary = run(spec).await;
        assert_eq!((seen.all()[0], seen.most.load(Ordering::SeqCst)), (3, most));
        assert_eq!((summary.flow.completed, summary.flow.failed), (seen.all()[1], 0));
    }
}

#[tokio::test]
async fn a_server_that_goes_away_gets_no_more_requests_there_and_answers_those_it_has() {
    let (target, seen) =
        server(None, |_, request| if request == 20 { Act::GoAway } else { Act::Answer(50 * MS) }).await;
    let summary = run(spec(target, Model::steady(100.0, 1_000))).await;
    // one that crosses with the GOAWAY is told that it was not processed; nothing is sent twice
    let stale = summary.errors.get(&ErrorClass::Stale).copied().unwrap_or(0);
    assert_eq!((summary.flow.failed, summary.flow.completed), (stale, 100 - stale));
    let [connections, _, answered] = seen.all();
    assert_eq!(summary.flow.completed, answered);
    assert!((4..=5).contains(&connections) && stale <= connections, "{connections} {stale}");
    let requests = seen.per_connection.lock().unwrap().clone();
    assert!(requests.values().all(|requests| (1..40).contains(requests)), "{requests:?}");
}

#[tokio::test]
async fn a_connection_that_is_given_up_fails_what_was_on_it_and_nothing_else() {
    let (target, seen) =
        server(None, |number, request| if (number, request) == (0, 30) { Act::Abort } else { Act::Answer(50 * MS) })
            .await;
    let summary = run(spec(target, Model::steady(100.0, 1_000))).await;
    let reset = summary.errors.get(&ErrorClass::Reset).copied().unwrap_or(0);
    assert!((1..=20).contains(&reset), "{:?}", summary.errors);
    assert_eq!((summary.flow.completed, summary.flow.failed, seen.all()[0]), (100 - reset, reset, 2));
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_not_connected_to_again_and_again_for_the_same_request() {
    let (target, seen) = server(None, |_, _| Act::Leave).await;
    let summary = run(spec(target, Model::steady(100.0, 1_000))).await;
    assert_eq!((summary.flow.completed, summary.flow.failed), (0, 100));
    assert!(!summary.errors.contains_key(&ErrorClass::Timeout), "{:?}", summary.errors);
    assert!(seen.all()[0] <= 100, "{seen:?}");
}

#[tokio::test]
async fn a_stream_that_is_reset_fails_alone() {
    let behave = |_, request| {
        if request % 5 == 2 { Act::Reset(Reason::REFUSED_STREAM) } else { Act::Answer(20 * MS) }
    };
    let (target, seen) = server(None, behave).await;
    let summary = run(spec(target, Model::steady(100.0, 1_000))).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 80), ("reset".to_owned(), 20)]));
    assert_eq!(seen.all(), [1, 100, 80]);
}

#[tokio::test]
async fn a_request_that_times_out_is_cancelled_and_the_others_go_on_beside_it() {
    let (target, seen) =
        server(None, |_, request| if request % 10 == 3 { Act::Never } else { Act::Answer(Duration::ZERO) }).await;
    let mut spec = spec(target, Model::steady(100.0, 1_000));
    spec.timeout = 300 * MS;
    let summary = run(spec).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 90), ("timeout".to_owned(), 10)]));
    assert_eq!((seen.all(), summary.flow.error_share()), ([1, 100, 90], Some(0.1)));
    assert!(seen.cancelled.load(Ordering::SeqCst) >= 5, "{seen:?}");
}

#[tokio::test]
async fn a_connection_that_fell_silent_gets_no_more_requests_after_the_first_timeout_on_it() {
    let (target, seen) =
        server(None, |number, request| if (number, request) == (0, 20) { Act::Freeze } else { Act::Answer(MS) }).await;
    let mut spec = spec(target, Model::steady(100.0, 1_000));
    spec.timeout = 200 * MS;
    let summary = run(spec).await;
    let timeouts = summary.errors[&ErrorClass::Timeout];
    assert_eq!((summary.flow.failed, summary.flow.completed, seen.all()[0]), (timeouts, 100 - timeouts, 2));
    // those that were sent until the first one had timed out
    assert!((15..=45).contains(&timeouts), "{timeouts}");
}

#[tokio::test]
async fn a_dead_port_fails_every_request_that_waited_for_a_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::resolve(&format!("http://{free}"), Reach::Loopback).unwrap();
    let summary = run(spec(target, Model::steady(200.0, 1_000))).await;
    assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Connect, 200)]));
}

#[tokio::test]
async fn many_bodies_larger_than_the_windows_share_a_connection() {
    let counts = std::sync::Arc::default();
    let target = http2_server(std::sync::Arc::clone(&counts)).await;
    let mut echo = RequestTemplate::get("/");
    echo.method = "POST".to_owned();
    echo.json = Some(serde_json::json!({ "padding": "x".repeat(400_000), "end": 7 }));
    (echo.expect.status, echo.expect.json) =
        (vec![200, 503], BTreeMap::from([("/end".to_owned(), serde_json::json!(7))]));
    let mut spec = Spec::new("test", target, Model::Connections { count: 2 }, vec![echo]);
    (spec.lasts, spec.protocol, spec.streams) = (Some(SECOND), Protocol::Http2, std::num::NonZeroUsize::new(8));
    let summary = run(spec).await;
    assert_eq!((summary.errors, summary.flow.completed), (BTreeMap::new(), counts.load(Ordering::SeqCst)));
    assert!(summary.flow.completed >= 16);
}
