-- The two roles of the service, to be run once by an administrator in the service's own database. `inventory_owner` owns the
-- schema and migrates it (DATABASE_MIGRATE=only); `inventory` is what the service runs as (DATABASE_MIGRATE=off): it can
-- change rows and nothing else. Set both passwords afterwards with \password, never in a file.
CREATE ROLE inventory_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 8;
CREATE ROLE inventory LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 72;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO inventory_owner;
GRANT USAGE ON SCHEMA public TO inventory;
ALTER DEFAULT PRIVILEGES FOR ROLE inventory_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO inventory;
