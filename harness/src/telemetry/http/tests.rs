//! The HTTP layer against servers that are closed, silent, slow or broken.

use super::super::wire::{Server, response};
use super::*;

fn settings() -> Settings {
    Settings { deadline: Duration::from_millis(300), limit: 1000, ..Settings::default() }
}

async fn get(url: &str, settings: Settings) -> Result<Reply, Error> {
    Endpoint::new(url, settings).unwrap().get("x", &[]).await
}

#[tokio::test]
async fn a_closed_port_is_unreachable_b47() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = get(&url, settings()).await.unwrap_err();
    assert!(error.is_unreachable());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_unreachable_b48() {
    let server = Server::raw(|_, _| None).await;
    let error = get(&server.url, settings()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("reach {}/x: no complete answer within 300ms", server.url));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer_b50() {
    let server = Server::raw(|_, _| Some(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":".to_vec())).await;
    let error = get(&server.url, settings()).await.unwrap_err();
    assert!(error.to_string().contains("the answer broke off after"), "{error}");
}

#[tokio::test]
async fn an_answer_is_cut_off_at_the_limit_b51() {
    let server = Server::always(200, &"x".repeat(1001)).await;
    assert!(matches!(get(&server.url, settings()).await, Err(Error::TooLarge { limit: 1000, .. })));
    let endless = Server::raw(|_, _| {
        let chunks = "3e8\r\n".to_owned() + &"x".repeat(1000) + "\r\n";
        Some(["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks.repeat(5)].concat().into_bytes())
    });
    assert!(matches!(get(&endless.await.url, settings()).await, Err(Error::TooLarge { .. })));
    let fits = Server::always(200, &"x".repeat(1000)).await;
    assert_eq!(get(&fits.url, settings()).await.unwrap().body.len(), 1000);
}

#[tokio::test]
async fn a_redirect_is_not_followed_b56() {
    let other = Server::always(200, "secret").await;
    let location = format!("Location: {}/x\r\n", other.url);
    let server = Server::raw(move |_, _| Some(response(302, &location, ""))).await;
    assert!(matches!(get(&server.url, settings()).await, Err(Error::Refused { status: 302, .. })));
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn refused_credentials_are_their_own_error_b57() {
    for status in [401, 403] {
        let server = Server::always(status, "no").await;
        assert!(matches!(get(&server.url, settings()).await, Err(Error::Auth { status: seen, .. }) if seen == status));
    }
    let server = Server::always(200, "").await;
    let credentials = Credentials::Bearer("hunter2".to_owned());
    get(&server.url, Settings { credentials, ..settings() }).await.unwrap();
    assert!(server.asked()[0].head.to_ascii_lowercase().contains("authorization: bearer hunter2"));
}

#[tokio::test]
async fn it_asks_again_within_the_budget_only_where_told_b58() {
    let busy = || {
        Server::raw(|n, _| Some(if n < 2 { response(503, "Retry-After: 0\r\n", "") } else { response(200, "", "ok") }))
    };
    let once = busy().await;
    assert!(matches!(get(&once.url, settings()).await, Err(Error::Refused { status: 503, .. })));
    assert_eq!(once.asked().len(), 1);
    let retry = Retry::Within(Duration::from_secs(5));
    let patient = busy().await;
    assert_eq!(get(&patient.url, Settings { retry, ..settings() }).await.unwrap().retries, 2);
    let too_long = Server::raw(|_, _| Some(response(429, "Retry-After: 3600\r\n", ""))).await;
    assert!(get(&too_long.url, Settings { retry, ..settings() }).await.is_err());
    assert_eq!(too_long.asked().len(), 1, "waiting an hour is beyond the budget");
}

#[tokio::test]
async fn a_long_query_is_posted_b34() {
    let server = Server::always(200, "{}").await;
    let endpoint = Endpoint::new(&server.url, settings()).unwrap();
    let query = "a or ".repeat(20_000) + "ü{x=\"+&%\"}";
    endpoint.query("q", &[("query", query.clone()), ("time", "1".to_owned())]).await.unwrap();
    endpoint.query("q", &[("query", "up".to_owned())]).await.unwrap();
    let asked = server.asked();
    assert_eq!((asked[0].line.as_str(), asked[1].line.as_str()), ("POST /q", "GET /q?query=up"));
    assert_eq!(asked[0].body, format!("query={query}&time=1"));
}

#[tokio::test]
async fn a_path_prefix_is_kept_and_secrets_in_an_address_are_not_shown() {
    let server = Server::always(404, "nothing here").await;
    let url = server.url.replace("http://", "http://user:hunter2@") + "/prometheus";
    let error = get(&url, settings()).await.unwrap_err().to_string();
    assert_eq!(error, format!("ask {}/prometheus/x: it answered 404: nothing here", server.url));
}

#[test]
fn an_address_that_cannot_be_used_is_refused_at_once() {
    for (address, reason) in
        [("localhost:9090", "http://"), ("https://p", "TLS"), ("", "relative"), ("http://", "empty host")]
    {
        let error = Endpoint::new(address, settings()).map(drop).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_exposition_that_is_none_is_malformed_with_its_line() {
    let server = Server::always(200, "a 1\n<html>\n").await;
    let error = exposition(&Endpoint::new(&server.url, settings()).unwrap(), "metrics").await.unwrap_err();
    assert!(matches!(&error, Error::Malformed { path, .. } if path == "line 2"), "{error}");
}
