# Two commands: `make demo` sets up .venv and runs the embedded experiment, `make test` runs the tests.

PYTHON ?= python3
CORES ?= 2
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: demo test lint

demo: .venv/workflow.ready
	@if [ -t 1 ]; then logger="--logger rich"; fi; .venv/bin/snakemake all --cores $(CORES) --rerun-incomplete $$logger

test: .venv/test.ready
	.venv/bin/python -m pytest

lint: .venv/test.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/snakemake --lint

.venv/workflow.ready: envs/workflow.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else \
	    "This project needs Python 3.11 or 3.12, but $(PYTHON) is %d.%d: run make PYTHON=python3.11." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet -r envs/workflow.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.ready: .venv/workflow.ready envs/test.txt
	$(PIP) install --quiet -r envs/test.txt
	@touch $@
