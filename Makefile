# `make help` lists what there is. Every target sets up what it needs.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON := .venv/bin/python
VEHICLES ?= 200
# Most tests wait for a browser, a process or a disk: two at a time take two thirds of the time, each with a PostgreSQL of its own.
TESTS_AT_ONCE ?= 2

# Where the scenarios of `make test-faults` leave what they measured.
FAULTS_REPORT ?= $(CURDIR)/.faults.jsonl

.PHONY: help run serve psql test test-faults check bench bench-quick bench-ui dataset lint audit format lock clean setup setup-dev

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Everything with a simulated fleet, on http://127.0.0.1:8050 (VEHICLES=200)
	@exec $(PYTHON) -m dashboard --simulate $(VEHICLES)

serve: setup ## The same without the simulated fleet
	@exec $(PYTHON) -m dashboard

psql: setup ## A SQL prompt on the database in use
	@exec $(PYTHON) -m db psql

test: setup-dev ## Everything, against real PostgreSQL and a real browser
	@tools/setup-browser.sh
	@tools/setup-nginx.sh
	@$(MAKE) --no-print-directory lint
	$(PYTHON) -m pytest -n $(TESTS_AT_ONCE) --dist loadfile

test-faults: setup-dev ## Every fault in its longer form, half an hour; keeps the table in docs/reliability.md
	@rm -f $(FAULTS_REPORT)
	FAULTS=full FAULTS_REPORT=$(FAULTS_REPORT) $(PYTHON) -m pytest tests/faults --timeout 900
	$(PYTHON) -m tests.faults.report $(FAULTS_REPORT)

check: lint ## The fast part: lint, and the tests that are neither slow nor in a browser
	$(PYTHON) -m pytest -n $(TESTS_AT_ONCE) --dist loadfile -m "not slow and not browser"

bench: setup ## Side by side with limits and peers; keeps the table in docs/benchmarks.md
	$(PYTHON) -m bench --write

bench-quick: setup ## The same in short rounds: rough figures, nothing kept
	$(PYTHON) -m bench --quick

bench-ui: setup-dev ## What people wait for with 10,000 vehicles, in headless Chromium; keeps the table in docs/benchmarks.md
	@tools/setup-browser.sh
	$(PYTHON) -m bench.ui --write

# `run` has a default of its own for VEHICLES; a given value counts for both.
dataset: setup ## Make and load a day of 10,000 vehicles and meters into .data-bench (VEHICLES HOURS BACKGROUND=30 DATABASE_URL)
	@exec $(PYTHON) -m bench.dataset --vehicles $(if $(filter file,$(origin VEHICLES)),10000,$(VEHICLES)) $(if $(HOURS),--hours $(HOURS)) \
	  $(if $(BACKGROUND),--background $(BACKGROUND))

lint: setup-dev ## ruff (format and rules), mypy strict, import contracts
	$(PYTHON) -m ruff format --check --quiet
	$(PYTHON) -m ruff check --quiet
	$(PYTHON) -m mypy --no-error-summary
	@said=$$(PYTHONPATH=. $(PYTHON) .venv/bin/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

audit: ## The locked packages against published advisories (3: they could not be read)
	@tools/audit.sh

format: setup-dev ## Format the code and repair what ruff can repair
	$(PYTHON) -m ruff format
	$(PYTHON) -m ruff check --fix

# Universal: one lock for every system and every Python from 3.11 on. The dev set differs from the runtime set in urllib3 alone, which
# the old selenium of dash[testing] holds back.
LOCK := $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(UPGRADE) pyproject.toml
lock: setup-dev ## Resolve pyproject.toml into requirements*.txt (UPGRADE=--upgrade for newer versions)
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra dev --output-file requirements-dev.txt

clean: ## Remove the environment and the caches; the data in .data stays
	rm -rf .venv .venv-audit .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@tools/setup.sh runtime

setup-dev:
	@tools/setup.sh dev
