# Everything a person or CI runs. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu check format bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/installed  ## make .venv and install what Reelgrid needs (about 5 GB with torch)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Reelgrid needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "Python could not make .venv; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/installed: .venv/bin/python requirements.txt requirements-lite.txt constraints.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: .venv/installed  ## make a few videos, probe them, turn them into frame databases
	$(RUN) -m tools.demo --out demo

test: .venv/installed-dev  ## the whole suite but what takes minutes or a GPU
	$(RUN) -m pytest -m "not slow and not gpu"

test-slow: .venv/installed-dev  ## the tests that take minutes
	$(RUN) -m pytest -m slow

test-gpu: .venv/installed-dev  ## the tests that need a GPU; fails where there is none
	FAIL_WITHOUT_CUDA=1 $(RUN) -m pytest -m gpu

check: .venv/installed-dev  ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-dev  ## measure, and write the tables in benchmarks/
	$(RUN) -m benchmarks

clean:  ## remove what the demo and the caches left behind; .venv stays
	rm -rf demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
