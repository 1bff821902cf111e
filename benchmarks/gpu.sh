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
exec "${PYTHON:-python3}" benchmarks/gpu.py "${words[@]}"
