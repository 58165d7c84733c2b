# `make help` lists what there is. Everything runs in .venv, which is made on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
CONCURRENCY ?= 64

.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

env: $(STAMP) ## Make the virtual environment

run: $(STAMP) ## Generate 220 rehearsed conversations and show them
	$(BIN)/python -m engine run --concurrency $(CONCURRENCY)

check: $(STAMP) ## Lint, format, types and unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit -m 'not slow'

test: $(STAMP) ## Tests with real processes, HTTP, kills and a real model (the unit tests are in `check`)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,local]'
	$(BIN)/python -m pytest tests/integration tests/chaos -m 'not slow'

test-slow: $(STAMP) ## What takes longer
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	$(BIN)/python -m pytest -m slow --timeout 3600

bench: $(STAMP) ## Measure the engine beside other clients (minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.run --quick

bench-full: $(STAMP) ## The same, at full length
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.run --full

wheel: $(STAMP) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist .

wheel-compiled: $(STAMP) ## The same with the path of a call as machine code, for this platform (needs a C compiler)
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m build --outdir dist .

clean: ## Remove the environment and what was built
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help env run check test test-slow bench bench-full wheel wheel-compiled clean
