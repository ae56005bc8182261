# Creates PostgreSQL's cluster, user and database, when the data folder is empty; then starts it, as any user, on a read-only
# root: in the official image and in the one made from Debian's packages alike. With `init` it only creates, for a server that
# is started as a process.
set -eu
umask 077
PATH="$PATH:/usr/lib/postgresql/17/bin"
password=${TMPDIR:-/tmp}/password

# initdb wants to know its user's name, and an image cannot know every number it may be run as
if ! whoami >/dev/null 2>&1; then
    wrapper=$(ls /usr/lib/*/libnss_wrapper.so)
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" > /tmp/passwd
    printf 'postgres:x:%s:\n' "$(id -g)" > /tmp/group
    export LD_PRELOAD="$wrapper" NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/tmp/group
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" > "$password"
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$password" --auth=scram-sha-256 \
        --locale=C --encoding=UTF8 --no-sync
    rm "$password"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    # what the server shares between its processes lies in the data folder, and goes with it; a drill's data need not outlive
    # the machine's power
    printf '%s\n' "jit = off" "dynamic_shared_memory_type = mmap" "fsync = off" >> "$PGDATA/postgresql.conf"
    echo "CREATE DATABASE $POSTGRES_DB STRATEGY = FILE_COPY;" | postgres --single -F -D "$PGDATA" postgres
fi
[ "${1:-}" != init ] || exit 0
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
