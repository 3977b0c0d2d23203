# make demo: install into .venv and run the demo.   make test: the same .venv with the dev extra, run the tests.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types install clean

demo: .venv/demo
	$(BIN)/crossprompt demo

test: .venv/dev
	$(BIN)/pytest -q -n auto

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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
