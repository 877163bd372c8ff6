# All commands for users and developers. They need Python 3.11 or newer and make; each target makes its virtual environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
JAX     := .venv-peers-jax
JAX_STAMP := $(JAX)/.installed
SITE    := .venv-docs
SITE_STAMP := $(SITE)/.installed
SOURCES := tuneexp tests experiments benchmarks docs
# Tests run in parallel parts, the longest first, more than there are cores, because many tests wait. See docs/testing.md.
PARTS    := algorithms sweeps faults others sampling learning tracking commands
algorithms := tests/algorithms
tracking := tests/tracking
faults   := tests/faults
sweeps   := tests/sweep tests/browser
sampling := tests/sampling tests/envs tests/rl_zoo
learning := tests/learning tests/training tests/models tests/data tests/rl
commands := tests/cli
NAMED    := $(filter-out others,$(PARTS))
others   := $(foreach part,$(NAMED),$($(part):%=--ignore=%))
ALL_PARTS := $(MAKE) --no-print-directory -j3 $(PARTS:%=part-%)
# `make check test` also runs the static checks. The fast tests run once, because `test` contains them.
BOTH    := $(and $(filter check,$(MAKECMDGOALS)),$(filter test,$(MAKECMDGOALS)))

# One thread per process: tests and trials run in parallel.
export OMP_NUM_THREADS := 1
# Tests start hundreds of processes. They share compiled modules (.pyc), even if the environment turns this off.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test $(PARTS:%=part-%) check static test-fast bench bench-ppo bench-dqn bench-sac bench-tqc bench-earlier bench-starts bench-replay bench-images bench-sweep bench-runners bench-gpu bench-scaling bench-commits record tune-bench zoo nightly learn screenshots api docs ui format install clean

help: ## show this list
	@grep -E '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(STAMP) ## tune PPO on CartPole with a live leaderboard (a minute or two)
	$(BIN)/python experiments/cartpole_ppo.py

test: $(STAMP) ## run all tests, with the slow ones (they kill and resume real sweeps)
	@$(ALL_PARTS) $(if $(BOTH),static)

$(PARTS:%=part-%): part-%:
	$(BIN)/python -m pytest -q $($*) $(PYTEST_ARGS)

check: $(if $(BOTH),,static test-fast) ## check format, lint and types, and run the fast tests
	@:

static: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

test-fast: $(STAMP)
	@$(ALL_PARTS) PYTEST_ARGS='-m "not slow" $(PYTEST_ARGS)'

bench: $(STAMP) $(PEERS_STAMP) $(JAX_STAMP) ## compare speed with other libraries; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks all --peers $(PEERS)/bin/python --jax $(JAX)/bin/python

bench-ppo bench-dqn bench-sac bench-tqc bench-sweep bench-runners: $(STAMP) $(PEERS_STAMP) $(JAX_STAMP) ## only this part of the benchmark
	$(BIN)/python -m benchmarks $(@:bench-%=%) --peers $(PEERS)/bin/python --jax $(JAX)/bin/python

bench-earlier: $(STAMP) ## training with this code beside that of two earlier commits; a table of docs/benchmarks.md
	$(BIN)/python -m benchmarks commits

bench-replay bench-images bench-starts: $(STAMP) ## only this part of the benchmark, without other libraries
	$(BIN)/python -m benchmarks $(@:bench-%=%)

bench-gpu: $(STAMP) ## training benchmarks on a GPU and on one CPU thread; needs a GPU
	$(BIN)/python -m benchmarks gpu

bench-scaling: $(STAMP) ## measure costs by the number of trials; writes the tables of docs/scaling.md
	$(BIN)/python -m benchmarks.scaling

bench-commits: $(STAMP) ## cost of training with this code beside that of the newest commit that is a day older (a minute)
	$(BIN)/python -m benchmarks.commits

record: $(STAMP) ## record learning curves of 128 configurations x 10 seeds on four tasks (hours; continues after a kill)
	$(BIN)/python -m benchmarks.record

tune-bench: $(STAMP) ## replay samplers and schedulers on the recorded curves; writes tables of docs/tuners.md and docs/tuning.md
	$(BIN)/python -m benchmarks.tuners

zoo: $(STAMP) ## train every row of RL Zoo's files for 2,000 steps, with substitutes for missing environments (40 minutes)
	TUNEEXP_ZOO=all $(BIN)/python -m pytest -q tests/rl_zoo $(PYTEST_ARGS)

# Tests that are too long for `make test`, which has a faster test of each fact.
nightly: $(STAMP) zoo docs ## tests that are too long for every change: all rows of RL Zoo, all cases of samplers, all exports to ONNX, all commands on pages, kills of all kinds of populations and at ten random moments, the site
	TUNEEXP_SAMPLERS=all $(BIN)/python -m pytest -q tests/sweep/search/samplers/test_contract.py $(PYTEST_ARGS)
	TUNEEXP_EXPORTS=all $(BIN)/python -m pytest -q tests/sweep/test_exporting.py -k onnx $(PYTEST_ARGS)
	TUNEEXP_PAGES=all $(BIN)/python -m pytest -q tests/pages $(PYTEST_ARGS)
	TUNEEXP_POPULATIONS=all $(BIN)/python -m pytest -q tests/faults/test_kill_population.py $(PYTEST_ARGS)
	@for _ in 1 2 3 4 5 6 7 8 9 10; do \
		$(BIN)/python -m pytest -q tests/faults tests/tracking -k 'at_any_moment or killed_at_random' $(PYTEST_ARGS) || exit 1; \
	done

learn: $(STAMP) ## train every algorithm with 5 seeds (hours); writes docs/learning.md. LEARN='--only NAME --jobs 2'
	$(BIN)/python -m benchmarks learn $(LEARN)

screenshots: $(STAMP) ## make the pictures in docs/img: live table, pages of MLflow; needs Chromium (apt-get install chromium chromium-driver)
	$(BIN)/python -m benchmarks.screenshots

api: $(STAMP) ## write the pages that are made of the code: docs/api.md, docs/commands.md, docs/settings.md
	$(BIN)/python docs/api.py
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/settings.py

docs: $(SITE_STAMP) ## build the site of README.md and docs/ in build/docs; a missing page or heading is an error
	$(SITE)/bin/python -m sphinx -q -E -W --keep-going -c docs . build/docs
	@echo "open build/docs/index.html"

ui: $(STAMP) ## open your sweeps in the MLflow UI, on this machine only
	$(BIN)/tuneexp ui

format: $(STAMP) ## format all files and fix lint errors
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

install: $(STAMP) ## make the virtual environment

clean: ## remove virtual environments and caches, but not runs/
	rm -rf $(VENV) $(PEERS) $(JAX) $(SITE) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# The stamp is written last, so an interrupted installation starts again.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it, or name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) (the first time: a few minutes, mostly downloads)"
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --no-compile --no-deps rl_zoo3==2.9.2 # only its files are read, by tests
	@# As pip does, but on all cores, and without modules that are seldom imported: Python compiles those when they are.
	@$(BIN)/python -m compileall -q -j 0 -x '/(tests?|plotly|sklearn|rllib|databricks|OpenGL|selenium)/' $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@

$(PEERS_STAMP): benchmarks/peers/constraints.txt
	@echo "Making $(PEERS) with the other libraries of the benchmark (a few minutes)"
	test -x $(PEERS)/bin/python || "$(PYTHON)" -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q -c benchmarks/peers/constraints.txt \
		stable-baselines3 'ray[rllib,tune]' torch gymnasium optuna
	@touch $@

$(JAX_STAMP): benchmarks/peers/jax-constraints.txt
	@echo "Making $(JAX) with the libraries of the benchmark that use JAX (a few minutes)"
	test -x $(JAX)/bin/python || "$(PYTHON)" -m venv $(JAX)
	$(JAX)/bin/python -m pip install -q -c benchmarks/peers/jax-constraints.txt sbx-rl jax optax torch
	@touch $@

$(SITE_STAMP): constraints.txt
	@echo "Making $(SITE) with Sphinx (some seconds)"
	test -x $(SITE)/bin/python || "$(PYTHON)" -m venv $(SITE)
	$(SITE)/bin/python -m pip install -q -c constraints.txt sphinx furo myst-parser
	@touch $@
