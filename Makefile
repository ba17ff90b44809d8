# `make run` and `make test` need nothing but Python >= 3.11: they make .venv first, from the locks.
# make itself ends with 2 whenever a command fails; the exit codes of docs/exit-codes.md are jobproof's own.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run test containers lint format lock schema matrix rules sample clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1|/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

run: .venv/.run ## run the scenarios against the reference worker; ARGS="--bug early-ack" and so on
	$(BIN)/jobproof run $(ARGS)

test: .venv/.test ## run all tests
	$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

containers: .venv/.test ## run the tests that need a Docker daemon; JOBPROOF_BASE_IMAGE=machine where there is no registry
	$(BIN)/pytest -m containers $(ARGS)

lint: .venv/.test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.test ## let ruff format and fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: .venv/.run ## write docs/result.schema.json anew
	$(BIN)/python -P -m harness.schema docs/result.schema.json

matrix: .venv/.run ## write docs/detection.md anew: which planted bug is found where
	$(BIN)/jobproof list bugs --format markdown > docs/detection.md

rules: .venv/.run ## write docs/audit-rules.md anew: what an audit asks
	$(BIN)/jobproof list rules --format markdown > docs/audit-rules.md

sample: .venv/.run ## write the committed sample report anew
	rm -rf reports/sample .sample
	-$(BIN)/jobproof run --bug check-then-send --seed 7 --out .sample
	mkdir -p reports/sample
	cp .sample/report.html .sample/report.md .sample/result.json .sample/junit.xml reports/sample/
	rm -rf .sample

lock: ## resolve the locks anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  --extra build -o requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  --extra build --extra test --extra containers --extra clock -c requirements.lock -o requirements-test.lock pyproject.toml

clean: ## remove the environment and what was generated
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jobproof needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12" >&2; exit 2; }
ifdef UV
	uv venv -q --python $(PYTHON) .venv
else
	$(PYTHON) -m venv .venv
endif

ifdef UV
INSTALL := uv pip install -q --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check
endif

.venv/.run: .venv/bin/python requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.run requirements-test.lock
	$(INSTALL) --require-hashes -r requirements-test.lock
	@touch $@
