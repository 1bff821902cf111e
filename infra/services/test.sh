#!/usr/bin/env bash
# What `make services-test` runs: services of its own, the tests that break them, services down again.
# What was broken and what was found goes to reports/faults.json; see docs/faults.md.
# Words are passed to pytest: test.sh -k quota
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/../.."
export PATH=$PWD/.venv/bin:$PATH
export MILA_SERVICES=/tmp/mila-test-$$ MILA_SERVICES_REQUIRED=1
export MILA_FAULTS=${MILA_FAULTS:-$PWD/reports/faults.json}

trap 'bash "$HERE/services.sh" down' EXIT
bash "$HERE/services.sh" up
echo "services up after $SECONDS s"
# The folder of the services holds the tests' own as well: other pytest runs tidy up the usual place.
python -m pytest -q -s -m "services or s3 or cluster or ui" --basetemp="$MILA_SERVICES/pytest" \
  tests/services "$@"
echo "all done after $SECONDS s; $MILA_FAULTS"
