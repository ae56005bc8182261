//! Items in PostgreSQL. Every change is one statement, so that it is one round trip, atomic, and over when it is answered.
//! The server is told our deadline too, so that what we gave up does not go on there.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::QueryAs;
use sqlx::{ConnectOptions, Connection, Postgres as Driver, SqlSafeStr};

use super::pool::{Lease, Pool};
use super::{Answer, Connections, LeakedConnection, row};
use crate::inventory::{Draft, Item, Movement, Page, Refusal, Reservation, ReservationId, Sku, Totals};

/// A transaction that does nothing for so long is ended by the server.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

type Row = (String, String, i64, i64);
type Rows<'q> = QueryAs<'q, Driver, Row, PgArguments>;

#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool,
    /// Without our deadlines, for migrations.
    patient: Box<PgConnectOptions>,
}

impl Postgres {
    /// Prepares the pool; nothing is connected yet.
    pub(super) fn open(options: &PgConnectOptions, max_connections: u32, deadline: Duration) -> Self {
        let options = options.clone().application_name("inventory-service").disable_statement_logging();
        let limited = options.clone().options([
            ("statement_timeout", deadline.as_millis().to_string()),
            ("lock_timeout", deadline.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION.as_millis().to_string()),
        ]);
        Self { pool: Pool::new(limited, max_connections), patient: Box::new(options) }
    }

    /// Brings the schema up to date, over a connection of its own that may take its time.
    pub(super) async fn migrate(&self) -> Result<(), MigrateError> {
        let sql = include_str!("../../migrations/postgres/0001_inventory.sql").into_sql_str();
        let migration = Migration::new(1, Cow::Borrowed("inventory"), MigrationType::Simple, sql, false);
        let mut connection = self.patient.connect().await?;
        // Not `run`: the compiler cannot prove its future to be `Send`.
        Migrator::with_migrations(vec![migration]).run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(())
    }

    pub(super) async fn list(&self, after: Option<&Sku>, limit: u32) -> Result<Page, sqlx::Error> {
        let sql = "SELECT sku, name, quantity, version FROM items WHERE sku > $1 ORDER BY sku LIMIT $2";
        let query = sqlx::query_as::<_, Row>(sql).bind(after.map_or("", Sku::as_str)).bind(i64::from(limit) + 1);
        let mut lease = self.pool.lease().await?;
        let rows = query.fetch_all(lease.connection()).await?;
        lease.give_back();
        row::page(rows, limit)
    }

    pub(super) async fn read(&self, sku: &Sku) -> Answer<Item> {
        let sql = "SELECT sku, name, quantity, version FROM items WHERE sku = $1";
        row::found(self.one(sqlx::query_as(sql).bind(sku.as_str())).await?)
    }

    pub(super) async fn create(&self, sku: &Sku, draft: &Draft) -> Answer<Item> {
        let sql = "INSERT INTO items (sku, name, quantity) VALUES ($1, $2, $3) ON CONFLICT (sku) DO NOTHING \
                   RETURNING sku, name, quantity, version";
        let query = sqlx::query_as(sql).bind(sku.as_str()).bind(draft.name()).bind(draft.quantity());
        row::found_or(self.one(query).await?, Refusal::SkuTaken)
    }

    pub(super) async fn replace(&self, sku: &Sku, draft: &Draft) -> Answer<Item> {
        let sql = "UPDATE items SET name = $1, quantity = $2, version = version + 1 WHERE sku = $3 \
                   RETURNING sku, name, quantity, version";
        let query = sqlx::query_as(sql).bind(draft.name()).bind(draft.quantity()).bind(sku.as_str());
        row::found(self.one(query).await?)
    }

    pub(super) async fn delete(&self, sku: &Sku) -> Answer<()> {
        let mut lease = self.pool.lease().await?;
        let deleted =
            sqlx::query("DELETE FROM items WHERE sku = $1").bind(sku.as_str()).execute(lease.connection()).await;
        let answer = match deleted {
            Ok(done) if done.rows_affected() == 0 => Err(Refusal::NoSuchItem),
            Ok(_) => Ok(()),
            Err(error) if super::is_foreign_key(&error) => Err(Refusal::OpenReservations),
            Err(error) => return Err(error),
        };
        lease.give_back();
        Ok(answer)
    }

    pub(super) async fn adjust(&self, sku: &Sku, movement: &Movement) -> Answer<Item> {
        let sql = "WITH changed AS (UPDATE items SET quantity = quantity + $2, version = version + 1 \
                       WHERE sku = $1 AND quantity + $2 BETWEEN 0 AND 1000000000 RETURNING sku, name, quantity, version), \
                   noted AS (INSERT INTO movements (sku, delta, reason) SELECT sku, $2, $3 FROM changed) \
                   SELECT sku, name, quantity, version FROM changed";
        let query = sqlx::query_as(sql).bind(sku.as_str()).bind(movement.delta).bind(movement.reason.as_str());
        self.changed(query, sku, movement.delta).await
    }

    pub(super) async fn reserve(&self, reservation: &Reservation) -> Answer<Item> {
        let sql = "WITH changed AS (UPDATE items SET quantity = quantity - $3, version = version + 1 \
                       WHERE sku = $2 AND quantity >= $3 RETURNING sku, name, quantity, version), \
                   noted AS (INSERT INTO reservations (id, sku, quantity) SELECT $1, sku, $3 FROM changed) \
                   SELECT sku, name, quantity, version FROM changed";
        let query =
            sqlx::query_as(sql).bind(reservation.id.as_str()).bind(reservation.sku.as_str()).bind(reservation.quantity);
        self.changed(query, &reservation.sku, -reservation.quantity).await
    }

    pub(super) async fn release(&self, id: &ReservationId) -> Answer<Item> {
        // Too much stock violates the table's own constraint, which undoes the deletion as well.
        let sql = "WITH gone AS (DELETE FROM reservations WHERE id = $1 RETURNING sku, quantity) \
                   UPDATE items SET quantity = items.quantity + gone.quantity, version = version + 1 FROM gone \
                       WHERE items.sku = gone.sku RETURNING items.sku, name, items.quantity, version";
        match self.one(sqlx::query_as(sql).bind(id.as_str())).await {
            Ok(row) => row::found_or(row, Refusal::NoSuchReservation),
            Err(error) if is_check(&error) => Ok(Err(Refusal::TooMuchStock)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn totals(&self) -> Result<Totals, sqlx::Error> {
        let sql =
            "SELECT COUNT(*), COALESCE(SUM(quantity), 0)::BIGINT, COUNT(*) FILTER (WHERE quantity = 0) FROM items";
        let mut lease = self.pool.lease().await?;
        let (items, units, out_of_stock) =
            sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(lease.connection()).await?;
        lease.give_back();
        Ok(Totals { items, units, out_of_stock })
    }

    pub(super) async fn ping(&self) -> Result<(), sqlx::Error> {
        let mut lease = self.pool.lease().await?;
        lease.connection().ping().await?;
        lease.give_back();
        Ok(())
    }

    pub(super) fn connections(&self) -> Connections {
        self.pool.connections()
    }

    pub(super) async fn leak(&self) -> Option<LeakedConnection> {
        let lease: Lease = self.pool.lease().await.ok()?;
        Some(Box::new(lease))
    }

    pub(super) async fn leak_beside_pool(&self) -> Option<LeakedConnection> {
        let connection = self.pool.open().await.ok()?;
        Some(Box::new(connection))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    async fn one(&self, query: Rows<'_>) -> Result<Option<Row>, sqlx::Error> {
        let mut lease = self.pool.lease().await?;
        let row = query.fetch_optional(lease.connection()).await?;
        lease.give_back();
        Ok(row)
    }

    /// The item as a change of stock left it, or why the change matched no row.
    async fn changed(&self, query: Rows<'_>, sku: &Sku, delta: i64) -> Answer<Item> {
        let mut lease = self.pool.lease().await?;
        let row = query.fetch_optional(lease.connection()).await?;
        let answer = match row {
            Some(row) => row::found(Some(row)),
            None => {
                let exists = sqlx::query("SELECT 1 FROM items WHERE sku = $1").bind(sku.as_str());
                let exists = exists.fetch_optional(lease.connection()).await?.is_some();
                Ok(Err(row::refusal_of(exists, delta)))
            }
        };
        lease.give_back();
        answer
    }
}

fn is_check(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_check_violation)
}
