#!/usr/bin/env bash
# Run a command as a job of a Ray cluster, with these sources and their commit; its exit code is ours.
#
#   RAY_API_SERVER_ADDRESS=http://HEAD:8265 submit.sh python flows/train.py data.root=s3://...
#
# Where the cluster wants a token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH. Secrets do not travel
# with a job: the cluster's nodes have their own.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$ROOT/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0

if (($# == 0)) || [[ $1 == help || $1 == --help || $1 == -h ]]; then
  sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 0
fi
if [[ -z ${RAY_API_SERVER_ADDRESS:-} ]]; then
  echo "submit.sh: RAY_API_SERVER_ADDRESS is not set; expected http://HEAD:8265 of a Ray cluster" >&2
  exit 2
fi
cd "$ROOT"
if ! said=$(python -c 'import flows.working_dir as w, pathlib; w.check_size(pathlib.Path.cwd())' 2>&1); then
  echo "submit.sh: ${said##*ValueError: }" >&2 # what is too large to travel
  exit 2
fi
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[[ $commit == unknown || -z $(git status --porcelain --untracked-files=no) ]] || commit+=+
exec ray job submit --address "$RAY_API_SERVER_ADDRESS" --working-dir . \
  --runtime-env-json "{\"env_vars\": {\"MILA_COMMIT\": \"$commit\"}}" -- "$@"
