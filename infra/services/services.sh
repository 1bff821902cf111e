#!/usr/bin/env bash
# Real services on one Debian machine, as root: S3 (Ceph), PostgreSQL, MLflow, Ray on two hosts.
#
#   services.sh install [PACKAGE...]                      Debian packages; up installs what it needs
#   services.sh up      [only=ceph,postgres,mlflow,ray]   start what does not run; data is kept
#   services.sh status                                    what runs, where; 1 if something died
#   services.sh down    [only=...]                        end it; without only= data goes as well
#
# Everything lies in one folder, MILA_SERVICES or /tmp/mila-services: state.json (processes, ports,
# addresses), environment (mode 600: what clients need), secrets/, log/. To use the services:
#   set -a; . /tmp/mila-services/environment; set +a
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
FOLDER=${MILA_SERVICES:-/tmp/mila-services} # short: Ray's sockets lie below it
STATE=$FOLDER/state.json
ALL=(ceph postgres mlflow ray)
PACKAGES=(radosgw ceph-mon ceph-osd postgresql-15 iproute2 procps curl openssl chromium fonts-dejavu-core)
ASK=yes # whether servers are asked to end before they are made to
export PATH=$ROOT/.venv/bin:$PATH
unset PYTHONPATH # the ceph command runs on the system's Python

for part in processes network ceph postgres mlflow ray; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

main() {
  local verb=${1:-help} chosen=("${ALL[@]}")
  if [[ $verb == install ]]; then
    need_root_and_packages "${@:2}"
    return
  fi
  case ${2:-} in
    only=*) IFS=, read -ra chosen <<<"${2#only=}" ;;
    '') ;;
    *) die "unexpected word $2; see services.sh help" ;;
  esac
  for part in "${chosen[@]}"; do
    [[ " ${ALL[*]} " == *" $part "* ]] || die "unknown service $part; known: ${ALL[*]}"
  done
  case $verb in
    up) up "${chosen[@]}" ;;
    down) down "${2:-}" "${chosen[@]}" ;;
    status) show_status ;;
    help | --help | -h) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *) die "unknown command $verb; known: install, up, down, status, help" ;;
  esac
}

up() {
  local part tool
  need_root_and_packages
  for tool in ray mlflow; do
    command -v "$tool" >/dev/null || die "$tool is missing; \`make .venv/installed\` installs it"
  done
  make_folder
  one_at_a_time
  network_up
  write_environment "$FOLDER/secrets/s3.json"
  for part in "${ALL[@]}"; do # in this order: mlflow needs the two before it
    [[ " $* " == *" $part "* ]] || continue
    "${part}_up"
    write_environment "$FOLDER/secrets/s3.json"
    say "$part is up"
  done
}

down() {
  local only=$1 part i
  shift
  [[ -e $STATE ]] || return 0
  one_at_a_time
  [[ -n $only ]] || ASK=no # nothing is kept: no server needs time to put its data in order
  for ((i = ${#ALL[@]} - 1; i >= 0; i--)); do
    part=${ALL[i]}
    [[ " $* " != *" $part "* ]] || "${part}_down"
  done
  [[ -z $only ]] || return 0
  network_down
  rm -rf -- "$FOLDER"
}

show_status() {
  local name pid code=0
  [[ -e $STATE ]] || { say "nothing was started"; return 0; }
  for name in $(state names); do
    if pid=$(pid_of "$name"); then
      printf '%-10s pid %s\n' "$name" "$pid"
    else
      printf '%-10s not running\n' "$name"
      code=1
    fi
  done
  say "clients: set -a; . $FOLDER/environment; set +a"
  return $code
}

need_root_and_packages() { # MORE PACKAGES...
  local missing=() package
  [[ $EUID -eq 0 ]] || die "this needs root: network namespaces, and a user of its own for PostgreSQL"
  for package in "${PACKAGES[@]}" "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# A policy file keeps the packages from starting services of their own.
install_packages() {
  local policy=/usr/sbin/policy-rc.d
  command -v apt-get >/dev/null || die "no apt-get; install these by hand: $*"
  say "installing $*"
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    # shellcheck disable=SC2064 # the path is meant as it is now
    trap "rm -f $policy" EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

make_folder() {
  if [[ -e $FOLDER && ! -e $STATE ]]; then
    die "$FOLDER is not ours (no state.json in it); name another one with MILA_SERVICES"
  fi
  [[ -e $STATE ]] && return
  mkdir -p -m 755 "$FOLDER" "$FOLDER/log" "$FOLDER/home"
  mkdir -p -m 700 "$FOLDER/secrets"
  state set project "$ROOT"
}

one_at_a_time() {
  exec 9>"$FOLDER/lock"
  flock -w 300 9 || die "another services.sh works on $FOLDER"
}

# What clients, drivers and workers need, in one file that only root reads.
write_environment() { # FILE_WITH_S3_USER
  local file=$FOLDER/environment address
  address=$(state get address)
  (
    umask 077
    cat <<C >"$file.new"
AWS_ENDPOINT_URL=http://$address:$(state port s3 "$address")
AWS_DEFAULT_REGION=us-east-1
AWS_EC2_METADATA_DISABLED=true
AWS_REQUEST_CHECKSUM_CALCULATION=when_required
AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
$(s3_keys "$1")
MLFLOW_TRACKING_URI=http://$address:$(state port mlflow "$address")
MLFLOW_S3_ENDPOINT_URL=http://$address:$(state port s3 "$address")
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
MLFLOW_DISABLE_TELEMETRY=true
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN_PATH=$FOLDER/secrets/ray_token
RAY_API_SERVER_ADDRESS=http://$(state get address.a):8265
RAY_USAGE_STATS_ENABLED=0
RAY_grpc_keepalive_timeout_ms=120000
RAY_TRAIN_HEALTH_CHECK_INTERVAL_S=0.2
RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S=1
RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S=15
MPLBACKEND=Agg
HOME=$FOLDER/home
C
    mv "$file.new" "$file"
  )
}

s3_keys() { # FILE
  [[ ! -e $1 ]] || python3 -I -S -c 'import json, sys
key = json.load(open(sys.argv[1]))["keys"][0]
print("AWS_ACCESS_KEY_ID=" + key["access_key"])
print("AWS_SECRET_ACCESS_KEY=" + key["secret_key"])' "$1"
}

with_environment() { (set -a; . "$FOLDER/environment"; set +a; "$@"); }

main "$@"
