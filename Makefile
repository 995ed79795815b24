# Two commands matter: `make demo` and `make test`. `make check` judges style and structure.
# Everything runs from the wheel that is built here, installed into .venv; `make dev` installs in place for editing instead.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src -name '*.py' -o -name 'py.typed') pyproject.toml LICENSE README.md

.PHONY: demo test check dev docs sheets lock clean

demo: $(VENV)/.halfseen
	rm -rf demo
	$(BIN)/halfseen demo --out demo

test: $(VENV)/.halfseen $(VENV)/.dev
	$(BIN)/python tools/run_tests.py

check: $(VENV)/.halfseen $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/size_budget.py
	$(BIN)/python tools/check_docs.py

# Editable install: changes in src/ take effect at once.
dev: $(VENV)/.core $(VENV)/.dev
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	rm -f $(VENV)/.halfseen

# Redraw the picture of the layers from the real import graph.
docs: $(VENV)/.halfseen $(VENV)/.dev
	$(BIN)/python tools/draw_layers.py

# Draw the sheets of the worlds anew, one member a cell.
sheets: $(VENV)/.halfseen
	$(BIN)/python tools/world_sheets.py

# Write constraints.txt anew: the newest versions that the ranges allow.
lock:
	$(PYTHON) tools/lock.py

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) tools/install.py $(VENV) core
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PYTHON) tools/install.py $(VENV) dev
	touch $@

$(VENV)/.halfseen: $(VENV)/.core $(SOURCES)
	$(PYTHON) tools/install.py $(VENV) wheel
	touch $@

clean:
	rm -rf build dist demo src/*.egg-info
	find src -name '*.nb[ic]' -delete
