#!/usr/bin/env bash
# What `make services-test` runs: services up, the tests that need them, services down again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
trap 'bash "$here/services.sh" down' EXIT
bash "$here/services.sh" up
set -a
# shellcheck source=/dev/null
. "${MILA_SERVICES:-/tmp/mila-services}/environment"
set +a
python -m pytest -q -o addopts="--import-mode=importlib" -m "services or s3 or cluster or ui" tests/services
