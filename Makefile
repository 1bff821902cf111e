# The only list of commands. Each makes .venv first if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXTRAS := video,datasets,services,dev

export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export RAY_USAGE_STATS_ENABLED := 0
export MPLBACKEND := Agg
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test slow-test check services-test debian bench results ui clean

help:
	@echo "make demo           data, training, sweep, evaluation and a page to look at: reports/index.html"
	@echo "make test           the default tests"
	@echo "make slow-test      tests that take minutes each"
	@echo "make check          linters and types"
	@echo "make services-test  faults against real services (Debian, root)"
	@echo "make bench          benchmarks; tables in benchmarks/results"
	@echo "make results        docs/results*.md and docs/ablations.md from the kept pages of flows/grid.py"
	@echo "make ui             MLflow at http://127.0.0.1:5000 (PORT=... for another port)"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	touch $(STAMP)

demo: $(STAMP)
	dvc repro
	@echo "Look at reports/index.html, and at every run with: make ui"

test: $(STAMP)
	python -m pytest -q

slow-test: $(STAMP)
	python -m pytest -q --timeout 600 -m slow

check: $(STAMP)
	ruff check .
	ruff format --check .
	mypy

services-test:
	$(MAKE) -j2 $(STAMP) debian
	bash infra/services/test.sh

debian:
	bash infra/services/services.sh install docker-compose

bench: $(STAMP)
	bash benchmarks/run.sh

results: $(STAMP)
	python -m pipeline.results pages=docs/results/large-shared grid=params/grid/large.yaml \
	  out=docs/results.md
	python -m pipeline.results pages=docs/results/fewer-shared grid=params/grid/fewer.yaml \
	  out=docs/results-fewer-worlds.md
	python -m pipeline.results pages=docs/results/camvid-shared grid=params/grid/camvid.yaml \
	  out=docs/results-camvid.md
	python -m pipeline.results pages=docs/results/street-shared grid=params/grid/street.yaml \
	  out=docs/ablations.md

PORT ?= 5000
ui: $(STAMP)
	python flows/ui.py port=$(PORT)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
