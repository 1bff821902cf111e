#!/usr/bin/env bash
# What `make services-test` runs: services of its own, the tests that break them, services down again.
# What was broken and what was found goes to reports/faults.json; see docs/faults.md.
# Words are passed to pytest: test.sh -k quota. Where MILA_REALDATA names real video (docs/data.md) it is
# ingested too.
#
# Two lanes run side by side, each with services of its own, so that none breaks what the other
# needs: `pair` compares trainings of two workers on two hosts, `rest` does all else.
set -euo pipefail
set -m # a lane is a group of processes: an interrupt reaches all of it

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/../.."
export PATH=$PWD/.venv/bin:$PATH
export MILA_SERVICES_REQUIRED=1
unset PYTHONDONTWRITEBYTECODE # hundreds of processes start: each would compile its sources again
export MILA_FAULTS=${MILA_FAULTS:-$PWD/reports/faults.json}
NO_TESTS=5 # pytest's exit code where the words choose none

main() {
  local pair rest lane codes=()
  rm -f "$MILA_FAULTS"
  bash "$HERE/services.sh" install docker-compose
  lane pair "pair" "$@" &
  pair=$!
  lane rest "(services or s3 or cluster or ui or compose or realdata) and not pair" "$@" &
  rest=$!
  trap 'kill -INT -- "-$pair" "-$rest" 2>/dev/null || true' INT TERM
  for lane in "$pair" "$rest"; do
    ended "$lane" && codes+=(0) || codes+=($?)
  done
  echo "all done after $SECONDS s; $MILA_FAULTS"
  return "$(worst "${codes[@]}")"
}

lane() { # NAME MARKS WORDS...: its lines begin with its name
  local name=$1 marks=$2
  shift 2
  run_lane "$@" 2>&1 | (trap '' INT TERM; exec sed -u "s/^/$name: /")
}

run_lane() {
  local choice=(-m "$marks" tests/services tests/infra tests/pipeline/test_ingest.py "$@")
  export MILA_SERVICES=/tmp/mila-test-$$-$name # short: Ray's sockets lie below it
  # The folder of the services holds the tests' own as well: other pytest runs tidy up the usual place.
  (($# == 0)) || python -m pytest --collect-only -q "${choice[@]}" >/dev/null
  trap 'bash "$HERE/services.sh" down' EXIT
  bash "$HERE/services.sh" up
  echo "services up after $SECONDS s"
  python -m pytest -q -s "${choice[@]}" --basetemp="$MILA_SERVICES/pytest"
}

ended() { # PID: print the exit code of a lane; an interrupt of ours does not end the waiting
  local code=0
  wait "$1" || code=$?
  while kill -0 "$1" 2>/dev/null; do wait "$1" || code=$?; done
  return "$code"
}

worst() { # CODES...: the first failure; lanes in which the words choose no test are well if one has some
  local code found=$NO_TESTS
  for code in "$@"; do
    ((code == 0 || code == NO_TESTS)) || { echo "$code"; return; }
    ((code == NO_TESTS)) || found=0
  done
  echo "$found"
}

main "$@"
