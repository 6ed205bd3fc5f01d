# The two commands of the README are `make demo` and `make test`; each does its own set-up. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup parts demo test check lint types gen drift unit conformance integration e2e golden bench lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.stamp ## make .venv from the hash-pinned lock file

$(VENV)/.stamp: requirements.lock pyproject.toml
	@echo "setup: python environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

parts: setup ## find, download or build the engines (API server, etcd, Argo CD, ...)
	@$(BIN)/dpfctl local parts

demo: setup ## bring up the local platform, install its DPUs, run a DPUService and a DPUDeployment on them
	@$(BIN)/python -m tools.demo

test: check unit conformance integration e2e ## every check and every test

check: setup lint types drift ## static checks

lint: setup
	@$(BIN)/ruff check src tests tools bench
	@$(BIN)/lint-imports --no-logo

types: setup
	@$(BIN)/mypy

gen: setup ## write deploy/crds, deploy/rbac and docs/reference from the source
	@$(BIN)/python -m tools.crdgen
	@$(BIN)/python -m tools.rbacgen
	@$(BIN)/python -m tools.docsgen

drift: setup
	@$(BIN)/python -m tools.crdgen --check
	@$(BIN)/python -m tools.rbacgen --check
	@$(BIN)/python -m tools.docsgen --check

unit: setup ## unit, architecture, golden and scenario tests: no engines needed
	@$(BIN)/pytest -q -n 2 tests/unit tests/architecture tests/golden tests/scenario

golden: setup parts ## write the rendered charts and the timelines anew; look at the diff
	@UPDATE_GOLDEN=1 $(BIN)/pytest -q tests/integration/charts tests/golden

conformance: setup parts ## one suite per port, on the fake and on the real engine
	@$(BIN)/pytest -q tests/conformance

integration: setup parts ## our parts against real engines
	@$(BIN)/pytest -q tests/integration

e2e: setup parts ## the examples on the local platform
	@$(BIN)/pytest -q tests/e2e

bench: setup parts ## measure; results as text and JSON in bench/results
	@$(BIN)/python -m bench

lock: setup ## write requirements.lock anew
	@$(BIN)/pip-compile -q --extra dev --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --strip-extras --allow-unsafe --no-header -o requirements.lock pyproject.toml
	@sed -i '1s/^/# Every package that development and CI install, pinned by hash. Written by `make lock`; never by hand.\n/' requirements.lock

clean: ## remove what the targets made in this folder
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench/results
