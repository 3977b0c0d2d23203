# make demo: install into .venv and run the demo.   make test: the same .venv with the dev extra, run the tests.
# make fast: the tests of the inner loop.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test fast lint types install clean

demo: .venv/demo
	$(BIN)/crossprompt demo

test: .venv/dev
	$(BIN)/pytest -q -n auto

fast: .venv/dev
	$(BIN)/pytest -q -n auto -m "not slow"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

install: .venv/dev

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[demo]'
	touch $@

.venv/dev: .venv/demo
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv
