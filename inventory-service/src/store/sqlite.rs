//! Items in SQLite: the embedded default. One writer, because SQLite has one; several readers, because WAL allows them.
//! `synchronous = NORMAL`: a killed process loses nothing that was acknowledged, a power cut may lose the last commits.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, Sqlite as Driver, Transaction};

use super::{Answer, Connections, LeakedConnection, row};
use crate::config::SqlitePlace;
use crate::inventory::{Draft, Item, MAX_QUANTITY, Movement, Page, Refusal, Reservation, ReservationId, Sku, Totals};

const READERS: u32 = 4;

#[derive(Debug)]
pub(super) struct Sqlite {
    writer: SqlitePool,
    reader: SqlitePool,
}

type Row = (String, String, i64, i64);

impl Sqlite {
    /// Prepares the pools; nothing is opened yet. `patience` bounds the wait for a connection and for a lock.
    pub(super) fn open(place: &SqlitePlace, patience: Duration) -> Self {
        let options = SqliteConnectOptions::new()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(patience);
        // A pool of an in-memory database must never close its one connection: the data would be gone.
        let pool = |size: u32| {
            let settings = SqlitePoolOptions::new().max_connections(size).min_connections(1);
            settings.acquire_timeout(patience).idle_timeout(None).max_lifetime(None).test_before_acquire(false)
        };
        match place {
            SqlitePlace::Memory => {
                let writer = pool(1).connect_lazy_with(options.in_memory(true));
                Self { reader: writer.clone(), writer }
            }
            SqlitePlace::File(path) => {
                let options = options.filename(path).create_if_missing(true);
                let writer = pool(1).connect_lazy_with(options.clone());
                Self { writer, reader: pool(READERS).connect_lazy_with(options) }
            }
        }
    }

    pub(super) async fn migrate(&self) -> Result<(), MigrateError> {
        let sql = include_str!("../../migrations/sqlite/0001_inventory.sql").into_sql_str();
        let migration = Migration::new(1, Cow::Borrowed("inventory"), MigrationType::Simple, sql, false);
        let mut connection = self.writer.acquire().await?;
        // Not `run`: the compiler cannot prove its future to be `Send`.
        Migrator::with_migrations(vec![migration]).run_direct(None, &mut *connection, false).await
    }

    pub(super) async fn list(&self, after: Option<&Sku>, limit: u32) -> Result<Page, sqlx::Error> {
        let sql = "SELECT sku, name, quantity, version FROM items WHERE sku > ? ORDER BY sku LIMIT ?";
        let query = sqlx::query_as::<_, Row>(sql).bind(after.map_or("", Sku::as_str)).bind(i64::from(limit) + 1);
        let rows = query.fetch_all(&self.reader).await?;
        row::page(rows, limit)
    }

    pub(super) async fn read(&self, sku: &Sku) -> Answer<Item> {
        let sql = "SELECT sku, name, quantity, version FROM items WHERE sku = ?";
        let row = sqlx::query_as::<_, Row>(sql).bind(sku.as_str()).fetch_optional(&self.reader).await?;
        row::found(row)
    }

    pub(super) async fn create(&self, sku: &Sku, draft: &Draft) -> Answer<Item> {
        let sql = "INSERT INTO items (sku, name, quantity) VALUES (?, ?, ?) ON CONFLICT (sku) DO NOTHING RETURNING sku, name, quantity, version";
        let query = sqlx::query_as::<_, Row>(sql).bind(sku.as_str()).bind(draft.name()).bind(draft.quantity());
        row::found_or(query.fetch_optional(&self.writer).await?, Refusal::SkuTaken)
    }

    pub(super) async fn replace(&self, sku: &Sku, draft: &Draft) -> Answer<Item> {
        let sql = "UPDATE items SET name = ?, quantity = ?, version = version + 1 WHERE sku = ? RETURNING sku, name, quantity, version";
        let query = sqlx::query_as::<_, Row>(sql).bind(draft.name()).bind(draft.quantity()).bind(sku.as_str());
        row::found(query.fetch_optional(&self.writer).await?)
    }

    pub(super) async fn delete(&self, sku: &Sku) -> Answer<()> {
        let deleted = sqlx::query("DELETE FROM items WHERE sku = ?").bind(sku.as_str()).execute(&self.writer).await;
        match deleted {
            Ok(done) if done.rows_affected() == 0 => Ok(Err(Refusal::NoSuchItem)),
            Ok(_) => Ok(Ok(())),
            Err(error) if super::is_foreign_key(&error) => Ok(Err(Refusal::OpenReservations)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn adjust(&self, sku: &Sku, movement: &Movement) -> Answer<Item> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let item = match change(&mut transaction, sku.as_str(), movement.delta).await? {
            Ok(item) => item,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let sql = "INSERT INTO movements (sku, delta, reason) VALUES (?, ?, ?)";
        let query = sqlx::query(sql).bind(sku.as_str()).bind(movement.delta).bind(movement.reason.as_str());
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Ok(item))
    }

    pub(super) async fn reserve(&self, reservation: &Reservation) -> Answer<Item> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let item = match change(&mut transaction, reservation.sku.as_str(), -reservation.quantity).await? {
            Ok(item) => item,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let sql = "INSERT INTO reservations (id, sku, quantity) VALUES (?, ?, ?)";
        let query =
            sqlx::query(sql).bind(reservation.id.as_str()).bind(reservation.sku.as_str()).bind(reservation.quantity);
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Ok(item))
    }

    pub(super) async fn release(&self, id: &ReservationId) -> Answer<Item> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let sql = "DELETE FROM reservations WHERE id = ? RETURNING sku, quantity";
        let row = sqlx::query_as::<_, (String, i64)>(sql).bind(id.as_str()).fetch_optional(&mut *transaction).await?;
        let Some((sku, quantity)) = row else { return Ok(Err(Refusal::NoSuchReservation)) };
        let item = match change(&mut transaction, &sku, quantity).await? {
            Ok(item) => item,
            Err(refusal) => return Ok(Err(refusal)),
        };
        transaction.commit().await?;
        Ok(Ok(item))
    }

    pub(super) async fn totals(&self) -> Result<Totals, sqlx::Error> {
        let sql = "SELECT COUNT(*), COALESCE(SUM(quantity), 0), COALESCE(SUM(quantity = 0), 0) FROM items";
        let (items, units, out_of_stock) = sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(&self.reader).await?;
        Ok(Totals { items, units, out_of_stock })
    }

    pub(super) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.reader).await.map(drop)
    }

    pub(super) fn connections(&self) -> Connections {
        let mut sum = super::connections(&self.writer);
        if !self.is_in_memory() {
            let reader = super::connections(&self.reader);
            sum = Connections {
                idle: sum.idle + reader.idle,
                in_use: sum.in_use + reader.in_use,
                max: sum.max + reader.max,
            };
        }
        sum
    }

    pub(super) async fn leak(&self) -> Option<LeakedConnection> {
        // whichever is free first, so that in the end all of them are gone
        let connection = tokio::select! {
            reader = self.reader.acquire() => reader,
            writer = self.writer.acquire() => writer,
        };
        Some(Box::new(connection.ok()?))
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    fn is_in_memory(&self) -> bool {
        self.reader.options().get_max_connections() == 1
    }
}

/// Adds `delta` to an item's stock if the result stays within bounds; says why when it does not.
async fn change(transaction: &mut Transaction<'_, Driver>, sku: &str, delta: i64) -> Answer<Item> {
    let sql = "UPDATE items SET quantity = quantity + ?1, version = version + 1 \
               WHERE sku = ?2 AND quantity + ?1 BETWEEN 0 AND ?3 RETURNING sku, name, quantity, version";
    let query = sqlx::query_as::<_, Row>(sql).bind(delta).bind(sku).bind(MAX_QUANTITY);
    if let Some(row) = query.fetch_optional(&mut **transaction).await? {
        return row::found(Some(row));
    }
    let exists = sqlx::query("SELECT 1 FROM items WHERE sku = ?").bind(sku).fetch_optional(&mut **transaction).await?;
    Ok(Err(row::refusal_of(exists.is_some(), delta)))
}
