#!/usr/bin/env bash
# What `make bench` runs: every benchmark, one JSON line per case; tables go to benchmarks/results.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for name in attention loader renderer joint muon overhead; do
  python "benchmarks/$name.py"
done
