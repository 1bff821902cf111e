#!/usr/bin/env bash
# In one call of at most nine minutes on one GPU, what a CPU cannot: renders street clips of 256x512,
# trains MILA and its peers on them, evaluates them, times the paper presets in bfloat16.
#
#   benchmarks/gpu.sh                 on a GPU; key=value words go to benchmarks/gpu.py
#   benchmarks/gpu.sh dry             the same steps at toy size on a CPU, within a minute
#
# Needs Python 3.12 with torch, numpy, OpenCV, pydantic, PyYAML and pyarrow. Ends with a table; the
# figures are in benchmarks/results/gpu.json, of a dry run in the folder that out=... names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
words=("$@")
if [[ "${1:-}" == dry ]]; then
  words=(size=dry "${@:2}")
fi
python=${PYTHON:-python3}
if "$python" -c 'import pytest, torch; raise SystemExit(not torch.cuda.is_available())' 2>&-; then
  "$python" -m pytest -q -m "gpu or slow" --noconftest -p no:cacheprovider \
    -o addopts=--import-mode=importlib -o timeout=0 tests/mila/attention/test_flex.py
else
  echo "attention's GPU tests not run: they need a CUDA device and pytest" >&2
fi
exec "$python" benchmarks/gpu.py "${words[@]}"
