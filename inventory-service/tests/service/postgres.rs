//! PostgreSQL: the same promises as the embedded default, and what happens when it is away, silent, cut off or full.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use inventory_service::clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api;
use crate::proxy::{Mode, Proxy};
use crate::servers::{Login, Postgres, authority, database, execute, sessions};
use crate::support::{Running, eventually, start, start_unhurried};

/// What a caller waits at most: the request's deadline and some room for a busy machine.
const ANSWERED: Duration = Duration::from_millis(2500);
/// What the service takes at most to be itself again.
const RECOVERED: Duration = Duration::from_secs(5);

async fn service(url: &str) -> Running {
    start(&[("DATABASE_URL", url)]).await
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn postgres_keeps_the_same_promises() {
    for promise in [0, 1, 2] {
        let running = start_unhurried(&database().await).await;
        match promise {
            0 => api::lives(&running).await,
            1 => api::conflicts(&running).await,
            _ => api::pages(&running).await,
        }
    }
    let running = start_unhurried(&database().await).await;
    api::never_negative(&running).await;
    let metrics = running.metrics().await;
    assert!(metrics.value("database_connections_max{database=\"postgres\"}") > 15.5);
    assert!(metrics.value("database_connections_active{database=\"postgres\",state=\"idle\"}") > 0.5);
    assert!(metrics.value("inventory_items") > 0.5);
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn migrating_twice_changes_nothing() {
    let url = database().await;
    let first = service(&url).await;
    first.item("A", 3).await;
    first.stop().await;
    assert_eq!(service(&url).await.quantity("A").await, 3);
}

#[tokio::test]
#[cfg_attr(not(test_postgres_binary), ignore = "no postgres on this machine: just test-servers")]
async fn the_services_own_role_can_change_rows_and_nothing_else() {
    let postgres = Postgres::start(Login::Password).await;
    let admin = postgres.admin_url();
    execute(&admin, include_str!("../../deploy/postgres-roles.sql").to_owned()).await;
    execute(&admin, "ALTER ROLE inventory PASSWORD 'b'; ALTER ROLE inventory_owner PASSWORD 'a'".to_owned()).await;
    let as_role = |role: &str, password: &str| format!("postgres://{role}:{password}@{}/postgres", authority(&admin));
    service(&as_role("inventory_owner", "a")).await.stop().await;
    let running = start(&[("DATABASE_URL", &as_role("inventory", "b")), ("DATABASE_MIGRATE", "off")]).await;
    api::lives(&running).await;
    let mut attempt = sqlx::postgres::PgConnectOptions::clone(&as_role("inventory", "b").parse().unwrap());
    attempt = sqlx::ConnectOptions::disable_statement_logging(attempt);
    let mut connection = sqlx::ConnectOptions::connect(&attempt).await.unwrap();
    for sql in [
        "CREATE TABLE mine (a INT)",
        "DROP TABLE items",
        "TRUNCATE items",
        "CREATE ROLE friend",
        "ALTER TABLE items ADD COLUMN a INT",
    ] {
        assert!(sqlx::Executor::execute(&mut connection, sql).await.is_err(), "{sql}");
    }
}

/// Breaks the way to the database and repairs it; every answer in between is 503 within the deadline, and the stock adds up.
async fn survives(mode: Mode) {
    let url = database().await;
    let proxy = Proxy::start(authority(&url)).await;
    let running = service(&proxy.through(&url)).await;
    running.item("A", 1000).await;
    let reserve = async || {
        let started = clock::instant();
        let answer = running.post("/api/items/A/reserve", json!({ "quantity": 1 })).await;
        (answer.status().as_u16(), started.elapsed(), answer)
    };
    let mut acknowledged: u32 = 0;
    let mut round = async || {
        let statuses: Vec<u16> = join_all((0..8).map(|_| reserve())).await.iter().map(|(status, ..)| *status).collect();
        acknowledged += u32::try_from(statuses.iter().filter(|status| **status == 201).count()).unwrap();
        statuses.iter().all(|status| *status == 201).then_some(())
    };
    eventually("a round without a failure", &mut round).await;
    proxy.set(mode);
    for _ in 0..3 {
        for (status, elapsed, answer) in join_all((0..8).map(|_| reserve())).await {
            assert_eq!(status, 503, "{mode:?}");
            assert_eq!(answer.headers()["retry-after"], "1");
            assert!(elapsed < ANSWERED, "{mode:?}: {elapsed:?}");
        }
    }
    assert_eq!(running.admin(Method::GET, "/ready", None).await.0, 503);
    proxy.set(Mode::Forward);
    let repaired = clock::instant();
    eventually("a round without a failure", round).await;
    assert!(repaired.elapsed() < RECOVERED, "{mode:?}: {:?}", repaired.elapsed());
    let metrics = running.metrics().await;
    let failures = metrics
        .0
        .iter()
        .filter(|(series, _)| series.starts_with("inventory_db_errors_total"))
        .map(|(_, value)| value)
        .sum::<f64>();
    assert!(failures > 20.0, "{mode:?}: {failures}");
    let rows = counted(&url).await;
    assert!(rows.0 >= i64::from(acknowledged), "{mode:?}: {rows:?}, acknowledged {acknowledged}");
    assert_eq!(rows.0 + rows.1, 1000, "what is reserved and what is left is what there was");
}

/// Reservations in the database, and the stock of the item.
async fn counted(url: &str) -> (i64, i64) {
    let mut connection =
        sqlx::ConnectOptions::connect(&url.parse::<sqlx::postgres::PgConnectOptions>().unwrap()).await.unwrap();
    let sql = "SELECT (SELECT COUNT(*) FROM reservations), (SELECT SUM(quantity)::BIGINT FROM items)";
    sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn a_paused_database_is_503_in_time_and_gone_when_it_is_over() {
    survives(Mode::Pause).await;
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn a_black_hole_is_503_in_time_and_gone_when_it_is_over() {
    survives(Mode::Blackhole).await;
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn reset_connections_are_503_in_time_and_gone_when_it_is_over() {
    survives(Mode::Reset).await;
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn a_full_pool_is_503_in_time_and_recovers() {
    let url = database().await;
    let running = start(&[("DATABASE_URL", &url), ("DATABASE_MAX_CONNECTIONS", "4")]).await;
    running.turn_on(json!({ "leak-connections": { "rate": 100 } })).await;
    eventually("the leak", async || (running.bitten("leak-connections").await == 4).then_some(())).await;
    let started: Instant = clock::instant();
    assert_eq!(running.get("/api/items").await.status(), 503);
    assert!(started.elapsed() < ANSWERED);
    let in_use = "database_connections_active{database=\"postgres\",state=\"in_use\"}";
    assert!((running.metrics().await.value(in_use) - 4.0).abs() < 0.5);
    running.admin(Method::DELETE, "/faults", None).await;
    eventually("recovery", async || (running.get("/api/items").await.status() == 200).then_some(())).await;
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn connections_beside_the_pool_take_none_of_it_and_end_with_the_switch() {
    let url = database().await;
    let running = start(&[("DATABASE_URL", &url), ("DATABASE_MAX_CONNECTIONS", "4")]).await;
    running.turn_on(json!({ "crowd-server": { "connections": 7 } })).await;
    eventually("the crowd", async || (running.bitten("crowd-server").await == 1).then_some(())).await;
    assert_eq!(running.get("/api/items").await.status(), 200);
    let in_use = "database_connections_active{database=\"postgres\",state=\"in_use\"}";
    assert!(running.metrics().await.value(in_use) < 0.5);
    assert!((8..=11).contains(&sessions(&url).await), "seven, and those of the pool");
    running.admin(Method::DELETE, "/faults", None).await;
    eventually("the end", async || (sessions(&url).await <= 4).then_some(())).await;
}

#[tokio::test]
#[cfg_attr(not(test_postgres_binary), ignore = "no postgres on this machine: just test-servers")]
async fn a_killed_database_comes_back_with_every_acknowledged_write() {
    let mut postgres = Postgres::start(Login::Password).await;
    let url = postgres.admin_url();
    let running = service(&url).await;
    running.item("A", 10_000).await;
    let mut acknowledged: i64 = 0;
    for round in 0..3 {
        let requests = (0..100).map(|number| {
            let postgres = &postgres;
            let sending = running.post("/api/items/A/reserve", json!({ "quantity": 1 }));
            async move {
                let status = sending.await.status().as_u16();
                if number == 50 {
                    postgres.kill();
                }
                status
            }
        });
        let statuses = join_all(requests).await;
        assert!(statuses.iter().all(|status| matches!(status, 201 | 503)), "round {round}: {statuses:?}");
        acknowledged += i64::try_from(statuses.iter().filter(|status| **status == 201).count()).unwrap();
        postgres.run().await;
        eventually("recovery", async || (running.get("/api/items/A").await.status() == 200).then_some(())).await;
    }
    let (reservations, left) = counted(&url).await;
    assert!(reservations >= acknowledged && acknowledged > 0, "{reservations} {acknowledged}");
    assert_eq!(reservations + left, 10_000);
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn a_service_without_its_database_waits_for_it() {
    let url = database().await;
    let proxy = Proxy::start(authority(&url)).await;
    proxy.set(Mode::Reset);
    let running = service(&proxy.through(&url)).await;
    assert_eq!(running.admin(Method::GET, "/ready", None).await.0, 503);
    assert_eq!(running.get("/api/items").await.status(), 503);
    proxy.set(Mode::Forward);
    eventually("readiness", async || (running.admin(Method::GET, "/ready", None).await.0 == 200).then_some(())).await;
    running.item("A", 1).await;
    assert_eq!(running.stop().await.events("database_found").len(), 1);
}

#[tokio::test]
#[cfg_attr(not(test_postgres_binary), ignore = "no postgres on this machine: just test-servers")]
async fn a_wrong_password_is_an_error_at_start_that_does_not_show_it() {
    let postgres = Postgres::start(Login::Password).await;
    let wrong = format!("postgres://admin:hunter2@{}/postgres", authority(&postgres.admin_url()));
    let settings = inventory_service::Settings::from_lookup(|name| match name {
        "DATABASE_URL" => Some(wrong.clone()),
        "LISTEN" | "ADMIN_LISTEN" => Some("127.0.0.1:0".to_owned()),
        _ => None,
    });
    let error = inventory_service::Service::start(settings.unwrap(), std::io::sink()).await.unwrap_err().to_string();
    assert!(error.contains("password authentication failed") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
#[cfg_attr(not(test_postgres), ignore = "no postgres on this machine: just test-servers")]
async fn clients_that_leave_do_not_cost_connections() {
    let url = database().await;
    let running = start(&[("DATABASE_URL", &url), ("DATABASE_MAX_CONNECTIONS", "4")]).await;
    running.item("A", 1000).await;
    for _ in 0..20 {
        let hurried = (0..20).map(|_| {
            let request = running.client.post(running.url("/api/items/A/reserve")).json(&json!({ "quantity": 1 }));
            request.timeout(Duration::from_millis(3)).send()
        });
        join_all(hurried).await;
    }
    let page: Value = running.get("/api/items").await.json().await.unwrap();
    let (reservations, left) = counted(&url).await;
    assert_eq!(reservations + left, 1000, "{page}");
    let in_use = "database_connections_active{database=\"postgres\",state=\"in_use\"}";
    eventually("rest", async || (running.metrics().await.value(in_use) < 0.5).then_some(())).await;
}
