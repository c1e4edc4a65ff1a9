# Everything a checkout can do. It needs Python 3.11 or newer and make; the rest is installed into .venv,
# from requirements.lock with every file's hash checked.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo lint style types test quick test-all bench lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install Downdraft and its tools into .venv
	@echo 'Installed: $(BIN)/downdraft --help'

# The web page is built as a part of it, by the machine's Node or one from PyPI; not where DOWNDRAFT_SKIP_UI=1.
PAGE_SOURCES := $(shell find gateway/ui -name node_modules -prune -o -name schema.d.ts -o -type f -print) hatch_build.py

# Again whenever what is to be installed has changed.
$(INSTALLED): requirements.lock requirements-node.lock pyproject.toml $(PAGE_SOURCES) | $(BIN)/python
	@echo 'Installing into $(VENV): about a minute …'
	@$(PIP) install -qq --require-hashes -r requirements.lock
	@needed=$$($(BIN)/python hatch_build.py needs) || exit; [ -z "$$needed" ] || $(PIP) install -qq --require-hashes -r requirements-node.lock
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c '' 2>/dev/null || { echo '$(NEEDED), and there is no "$(PYTHON)" that runs here: $(NAME_ONE)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(NEEDED), and $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())'): $(NAME_ONE)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments: install what your system keeps apart for that (on Debian the package python3-venv).' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

NEEDED := Downdraft needs Python 3.11 or newer
NAME_ONE := name one, as in make install PYTHON=python3.12

demo: $(INSTALLED) ## Show the main job: two nodes download 24 real files and one that is missing
	@$(BIN)/downdraft demo

lint: style types ## Check style, types and which way imports run

style: $(INSTALLED)
	$(call timed,$(BIN)/ruff check)
	$(call timed,$(BIN)/ruff format --check)
	$(call timed,$(BIN)/lint-imports)

types: $(INSTALLED)
	$(call timed,$(BIN)/mypy)

# Types are checked while the tests wait.
test: style ## Check everything that needs minutes at most
	@$(MAKE) --no-print-directory -j2 types quick

quick: $(INSTALLED)
	$(BIN)/pytest -m 'not slow and not compose' $(BESIDE) --durations=10

test-all: lint ## … and what needs long, gigabytes or a Docker engine
	$(BIN)/pytest $(BESIDE) --durations=20

# Tests mostly wait for processes: five files at a time keep two cores busy, the longest first (tests/conftest.py).
BESIDE := -n 5 --dist loadfile --no-loadscope-reorder

# They start thousands of processes: none must compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

bench: $(INSTALLED) ## Measure beside aria2c and others on this machine: about half an hour on two idle cores
	@$(BIN)/python -m benchmarks

# Versions that still fit are kept; `make lock UPGRADE=--upgrade` takes the newest of everything.
lock: | $(BIN)/python ## Pin the dependencies again, after a change in pyproject.toml
	@$(PIP) install -qq uv==0.13.9
	$(PIN) --group dev --output-file requirements.lock pyproject.toml
	$(PIN) --constraint requirements.lock --output-file requirements-runtime.lock pyproject.toml
	@$(BIN)/python -c 'import hatch_build; print(hatch_build.WHEEL)' | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --output-file requirements-node.lock -

# --universal: one file for every platform and every Python from 3.11 on.
PIN = @$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' $(UPGRADE)

clean: ## Delete .venv, caches and what was built; data and downloads stay
	rm -rf $(VENV) build dist gateway/page gateway/ui/node_modules .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define timed
@echo '$(1)'; began=$$(date +%s); $(1) || exit; echo "    $$(($$(date +%s) - began)) s"
endef
