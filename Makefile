# make demo: the whole way on sounds that the program renders itself.   make test: the tests.
# make docs: the pages that the program and its kept results write.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test mutants lint docs clean

demo: $(VENV)/installed
	$(BIN)/distill demo --out demo-output

test: $(VENV)/installed
	$(BIN)/python -m pytest

mutants: $(VENV)/installed
	$(BIN)/python tools/mutants.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python tools/cli_docs.py
	$(BIN)/python tools/api_docs.py
	$(BIN)/python tools/results.py

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("distill needs Python 3.11 or newer; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo-output
