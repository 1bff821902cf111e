# shellcheck shell=bash
# PostgreSQL 15 on the loopback address, with a password that only files of mode 600 hold.

POSTGRES_BIN=/usr/lib/postgresql/15/bin
AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups --)

postgres_up() {
  local port data=$FOLDER/postgres/data
  port=$(state port postgres 127.0.0.1)
  pid_of postgres >/dev/null && return
  [[ -e $data/PG_VERSION ]] || postgres_make
  start postgres "${AS_POSTGRES[@]}" "$POSTGRES_BIN/postgres" -D "$data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$FOLDER/postgres" -c fsync=off
  wait_for postgres 60 "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$port"
  postgres_database
}

postgres_down() { stop postgres INT; } # INT: end connections, then stop

postgres_make() {
  local folder=$FOLDER/postgres password
  password=$(openssl rand -hex 16)
  umask 077
  printf '127.0.0.1:*:*:mila:%s\n' "$password" >"$FOLDER/secrets/pgpass"
  mkdir -p "$folder"
  printf '%s' "$password" >"$folder/password"
  umask 022
  chown -R postgres: "$folder"
  "${AS_POSTGRES[@]}" "$POSTGRES_BIN/initdb" -D "$folder/data" -U mila -A scram-sha-256 -E UTF8 \
    --pwfile="$folder/password" --no-sync >>"$FOLDER/log/postgres.log" 2>&1
  rm "$folder/password"
}

postgres_database() {
  local psql=("$POSTGRES_BIN/psql" -h 127.0.0.1 -p "$(state port postgres 127.0.0.1)" -U mila)
  export PGPASSFILE=$FOLDER/secrets/pgpass
  [[ $("${psql[@]}" -d postgres -Atc "select 1 from pg_database where datname = 'mlflow'") ]] ||
    "${psql[@]}" -d postgres -qc 'create database mlflow'
}
