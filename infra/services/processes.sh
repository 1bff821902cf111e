# shellcheck shell=bash
# Start servers, wait for them, end them. Every wait has a limit and also watches the server.

say() { printf '%s\n' "$*"; }

die() {
  printf 'services.sh: %s\n' "$*" >&2
  exit 1
}

state() { python3 -I -S "$HERE/state.py" "$STATE" "$@"; }

pid_of() { state alive "$1"; } # prints the pid; fails if the process is not alive

# start NAME COMMAND...: run a server in a session of its own; its output goes to NAME.log.
start() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$FOLDER/log/$name.log" 2>&1 9>&- &
  state record "$name" $!
}

# wait_for NAME SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    pid_of "$name" >/dev/null || die "$name ended at its start: $(last_words "$name")"
    ((SECONDS < deadline)) || die "$name does not answer in time: $(last_words "$name")"
    sleep 0.2
  done
}

last_words() { tail -n 5 "$FOLDER/log/$1.log" 2>/dev/null | tr '\n' ' '; }

# stop NAME [SIGNAL]: ask a server to end, then end what is left of its session. INT suits some.
stop() {
  local name=$1 signal=${2:-TERM} pid deadline
  pid=$(pid_of "$name") || return 0
  deadline=$SECONDS
  if [[ $ASK == yes ]]; then
    kill "-$signal" "$pid" 2>/dev/null || true
    deadline=$((SECONDS + 15))
  fi
  while pid_of "$name" >/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
  end_all pgrep -s "$pid"
  say "$name ended"
}

# end_all COMMAND...: kill the processes that COMMAND lists, until it lists none.
end_all() {
  local deadline=$((SECONDS + 60)) left
  while left=$("$@" 2>/dev/null) && [[ -n $left ]]; do
    ((SECONDS < deadline)) || die "these processes do not end: $left"
    # shellcheck disable=SC2086 # one word per process
    kill -KILL $left 2>/dev/null || true
    sleep 0.1
  done
}
