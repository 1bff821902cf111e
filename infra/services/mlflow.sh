# shellcheck shell=bash
# MLflow server: metadata in PostgreSQL, artifacts in S3.

mlflow_up() {
  local address port
  address=$(state get address)
  port=$(state port mlflow "$address")
  pid_of mlflow >/dev/null && return
  pid_of postgres >/dev/null || die "mlflow needs postgres; start it too: only=postgres,mlflow"
  [[ -e $FOLDER/secrets/s3.json ]] || die "mlflow needs ceph; start it too: only=ceph,mlflow"
  export PGPASSFILE=$FOLDER/secrets/pgpass
  export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mila@127.0.0.1:$(state port postgres 127.0.0.1)/mlflow
  start mlflow env --chdir="$FOLDER" bash -c 'set -a; . ./environment; exec "$@"' - \
    mlflow server --host "$address" --port "$port" -w 1 --artifacts-destination s3://mlflow/artifacts
  wait_for mlflow 120 curl -sf -o /dev/null "http://$address:$port/health"
}

mlflow_down() { stop mlflow; }
