# Starts PostgreSQL in a container, as any user, on a read-only root: the official image's and the one made from Debian's
# packages alike. Creates the cluster, the user and the database first, when the data folder is empty.
set -eu
PATH="$PATH:/usr/lib/postgresql/17/bin"

# initdb wants to know its user's name, and an image cannot know every number it may be run as
if ! whoami >/dev/null 2>&1; then
    wrapper=$(ls /usr/lib/*/libnss_wrapper.so)
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" > /tmp/passwd
    printf 'postgres:x:%s:\n' "$(id -g)" > /tmp/group
    export LD_PRELOAD="$wrapper" NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/tmp/group
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 \
        --locale=C --encoding=UTF8 --no-sync
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB;" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off
