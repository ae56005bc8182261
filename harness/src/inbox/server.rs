//! The HTTP side of the inbox: one task for each connection, so that a slow sender holds up nobody else (B72).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::Content;
use super::payload::{self, Request as Call};
use super::{Answer, Behaviour, Delivery, Kind, Shared, Slot};

/// Pause after a failed `accept`, which mostly means that there are no file descriptors left.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Accepts until told to stop.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tasks.spawn(connection(stream, Arc::clone(&shared), stop.clone()))),
            Err(_) => tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    let patience = shared.limits.patience;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let serving =
        http.timer(TokioTimer::new()).header_read_timeout(patience).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // A connection that breaks is the sender's affair; its message, if there was one, is handed over as unanswered.
        _ = serving => {}
    }
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some((slot, suffix)) = shared.find(request.uri().path()) else {
        return answer(404, "text/plain", "there is no inbox here");
    };
    // a knock from our own side: the inbox is here, whatever it would answer to a message
    if request.method() == Method::HEAD {
        return answer(200, "text/plain", "");
    }
    let preparing = slot.kind == Kind::Wechat && request.method() == Method::GET;
    if !preparing && !matches!(*request.method(), Method::POST | Method::PUT) {
        return answer(405, "text/plain", "an inbox takes POST");
    }
    let (body, read) = read_body(shared, request.into_body()).await;
    let read = read.and_then(|()| payload::read(slot.kind, &suffix, &body).map_err(|defect| (400, defect)));
    match read {
        Ok(Call::Preparation) => accepted(&slot),
        Ok(Call::Message(content)) => behave(shared, &slot, &body, content).await,
        Err((status, defect)) => {
            let response = answer(status, "text/plain", &defect);
            Delivery::new(shared, &slot, &body, Err(defect)).answered(status);
            response
        }
    }
}

async fn behave(shared: &Shared, slot: &Slot, body: &[u8], content: Content) -> Response<Full<Bytes>> {
    let delivery = Delivery::new(shared, slot, body, Ok(content));
    let response = match shared.next(&slot.receiver) {
        Behaviour::Accept => accepted(slot),
        Behaviour::Answer(Answer { status, after, .. }) => {
            tokio::time::sleep(after).await;
            status.map_or_else(|| accepted(slot), |status| answer(status, "text/plain", "refused by the drill"))
        }
        Behaviour::Hang | Behaviour::Dead => std::future::pending().await,
    };
    delivery.answered(response.status().as_u16());
    response
}

/// The body as far as it came, and why it is not all of it.
async fn read_body(shared: &Shared, body: Incoming) -> (Bytes, Result<(), (u16, String)>) {
    let limit = shared.limits.message;
    let too_long = || (Bytes::new(), Err((413, format!("the body is longer than {limit} bytes"))));
    if body.size_hint().lower() > limit as u64 {
        return too_long();
    }
    match tokio::time::timeout(shared.limits.patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => (collected.to_bytes(), Ok(())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_long(),
        Ok(Err(error)) => (Bytes::new(), Err((400, format!("the body broke off: {error}")))),
        Err(_) => (Bytes::new(), Err((408, format!("the body did not come within {:?}", shared.limits.patience)))),
    }
}

fn accepted(slot: &Slot) -> Response<Full<Bytes>> {
    let (status, content_type, body) = slot.kind.answer();
    answer(status, content_type, body)
}

fn answer(status: u16, content_type: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    response
}
