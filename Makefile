# editsuite: `make` lists what there is. Works with GNU make 3.81 (macOS) and later.
#
#   PYTHON=python3.12 make setup     which Python the virtual environment is made with
#   make rome ARGS="--edit-counts 1,10"    more arguments for pytest
#   WORKERS=4 make rome              how many workers measure at once

PY := .venv/bin/python
WORKERS ?= 2
ARGS ?=

.PHONY: help setup rome memit mend grace test bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z ]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

# The environment's own Python comes first: it answers fastest, and a second run changes nothing.
setup: ## make .venv with pinned versions and the embedded model; at once where that is done
	@if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; \
	else set -- $(PY) python3.11 python3.12 python3.13 python3.14 python3; fi; \
	found=; \
	for candidate in "$$@"; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    if [ -z "$$found" ]; then found=$$candidate; fi; \
	    if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	      found=$$candidate; break; \
	    fi; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make setup: no Python 3.11 or later among: $$*." >&2; \
	  echo "Install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.11)" >&2; \
	  echo "or name one: make setup PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	PYTHON="$(PYTHON)" exec "$$found" scripts/bootstrap.py

rome memit mend grace: setup ## edit the default model 100 times and hold it to the baselines
	$(PY) -m pytest -m $@ -n $(WORKERS) $(ARGS)

test: setup ## linters, types, unit tests, and a smoke tier of the regression checks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy scripts/bootstrap.py
	$(PY) -m pytest tests_unit -n $(WORKERS)
	$(PY) -m pytest -m "(rome or memit or mend or grace) and smoke and (rome or not capability)" \
	  -n $(WORKERS) --edit-tier smoke --edit-reports=reports/smoke

bench: setup ## run benchmarks/bench_*.py one after another
	@set -e; found=; \
	for script in benchmarks/bench_*.py; do \
	  if [ -f "$$script" ]; then \
	    found=1; echo "$(PY) $$script $(ARGS)"; $(PY) "$$script" $(ARGS); \
	  fi; \
	done; \
	if [ -z "$$found" ]; then echo "make bench: no benchmarks/bench_*.py here" >&2; exit 1; fi

clean: ## remove .venv, reports and tool caches; the cache of models and chains stays
	rm -rf .venv .venv.lock reports build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
