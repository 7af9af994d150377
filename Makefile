# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Set-up steps leave a stamp in .venv, so they cost nothing when nothing changed.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# As root (in a container, say) JupyterLab would refuse to start; its token still guards it.
AS_ROOT := $(shell test "$$(id -u)" = 0 && echo --allow-root)

.PHONY: help demo lab setup test coverage lint format bench bless differences clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup  ## run the first course notebook on the simulated kernel
	@$(BIN)/python tools/demo.py

lab: setup  ## open JupyterLab on the notebooks; more for it in LAB_ARGS=
	$(BIN)/jupyter lab notebooks $(AS_ROOT) $(LAB_ARGS)

setup: .venv/stamp-lab  ## everything that demo and lab need
	@$(BIN)/kernellab setup --quiet

test: .venv/stamp-dev  ## set up all that tests need, run every test and check
	@$(BIN)/kernellab setup --quiet
	@$(BIN)/python tools/dev_setup.py
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

coverage: .venv/stamp-dev  ## the tests, and which lines of the package they run: half as long again
	@$(BIN)/kernellab setup --quiet
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

lint: .venv/stamp-dev  ## the checks without the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/stamp-dev  ## format and fix what can be fixed by a tool
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd rust-template && cargo fmt

bench: .venv/stamp-dev  ## print the table of how fast and how big
	@$(BIN)/kernellab setup --quiet
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

differences: .venv/stamp-dev  ## run the test drivers on sim and on Wine, and write where they differ
	$(BIN)/python -m tools.differences $(DIFFERENCES_ARGS)

bless: .venv/stamp-dev  ## regenerate what is generated: bindings, layouts, tables in docs
	$(BIN)/python tools/bless.py

clean:  ## remove the virtual environment and build leftovers of this checkout
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache rust-template/target tests/artefacts

# pip comes last into the environment: one whose making was stopped is made again.
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kernellab needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "Python's venv module is missing (Debian and Ubuntu: apt install python3-venv)"; exit 1; }

# An editable install copies the Jupyter extension: do that again when the extension is a new one.
EXTENSION := labextension/share/jupyter/labextensions/kernellab/built.json

.venv/stamp-lab: pyproject.toml $(EXTENSION) | .venv/bin/pip
	@echo "Installing kernellab and JupyterLab into .venv (once, about a minute) ..."
	@$(PIP) install --quiet --editable '.[lab]'
	@touch $@

.venv/stamp-dev: pyproject.toml $(EXTENSION) | .venv/bin/pip
	@echo "Installing kernellab and its test tools into .venv (once, about a minute) ..."
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@ .venv/stamp-lab
