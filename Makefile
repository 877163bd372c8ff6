# Everything a person needs, starting from Python 3.11 and make. Each target makes its own virtual environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
SOURCES := tuneexp tests experiments benchmarks docs/api.py
# Tests run in parts side by side, more than there are cores since many of them wait. docs/testing.md has their times.
PARTS    := faults sweeps commands training others
faults   := tests/faults
sweeps   := tests/sweep tests/browser
commands := tests/cli tests/tracking
training := tests/algorithms tests/learning
others   := $(foreach part,faults sweeps commands training,$($(part):%=--ignore=%))
ALL_PARTS := $(MAKE) --no-print-directory -j$(words $(PARTS) static) $(PARTS:%=part-%)
# `make check test` has the static checks beside them, and the fast tests once: `test` contains them.
BOTH    := $(and $(filter check,$(MAKECMDGOALS)),$(filter test,$(MAKECMDGOALS)))

# One thread per process: tests and trials share the cores by running side by side.
export OMP_NUM_THREADS := 1
# Hundreds of processes start here: none translates the same modules again, also where a shell or an image asks for it.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test $(PARTS:%=part-%) check static test-fast bench bench-ppo bench-dqn bench-sac bench-replay bench-images bench-sweep bench-runners bench-gpu bench-scaling zoo nightly learn screenshots api ui format install clean

help: ## show this list
	@grep -E '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(STAMP) ## tune PPO on CartPole with a live leaderboard, a minute or two
	$(BIN)/python experiments/cartpole_ppo.py

test: $(STAMP) ## all tests, the slow ones too (real sweeps are killed and resumed)
	@$(ALL_PARTS) $(if $(BOTH),static)

$(PARTS:%=part-%): part-%:
	$(BIN)/python -m pytest -q $($*) $(PYTEST_ARGS)

check: $(if $(BOTH),,static test-fast) ## format check, lint, types and the fast tests
	@:

static: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

test-fast: $(STAMP)
	@$(ALL_PARTS) PYTEST_ARGS='-m "not slow" $(PYTEST_ARGS)'

bench: $(STAMP) $(PEERS_STAMP) ## measure against Stable-Baselines3 and RLlib; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks all --peers $(PEERS)/bin/python

bench-ppo bench-dqn bench-sac bench-sweep bench-runners: $(STAMP) $(PEERS_STAMP) ## only this part of the benchmark
	$(BIN)/python -m benchmarks $(@:bench-%=%) --peers $(PEERS)/bin/python

bench-replay bench-images: $(STAMP) ## only this part of the benchmark, which has no peer
	$(BIN)/python -m benchmarks $(@:bench-%=%)

bench-gpu: $(STAMP) ## the training benchmarks on a GPU beside one CPU thread, where there is a GPU
	$(BIN)/python -m benchmarks gpu

bench-scaling: $(STAMP) ## what grows with the number of trials; writes the tables of docs/scaling.md
	$(BIN)/python -m benchmarks.scaling

zoo: $(STAMP) ## train every row of RL Zoo's files for 2,000 steps, on stand-ins where an environment is missing (an hour)
	TUNEEXP_ZOO=all $(BIN)/python -m pytest -q tests/rl_zoo $(PYTEST_ARGS)

# What is too long for `make test`, which holds a faster test of each fact: kills at other moments, and all rows.
nightly: $(STAMP) zoo ## what is too long for every change: all rows of RL Zoo, kills at ten more random moments
	@for _ in 1 2 3 4 5 6 7 8 9 10; do \
		$(BIN)/python -m pytest -q tests/faults tests/tracking -k 'at_any_moment or killed_at_random' $(PYTEST_ARGS) || exit 1; \
	done

learn: $(STAMP) ## train every algorithm, 5 seeds at once (hours); writes docs/learning.md. LEARN='--only NAME --jobs 2'
	$(BIN)/python -m benchmarks learn $(LEARN)

screenshots: $(STAMP) ## the pictures in docs/img: the live table, MLflow's pages; needs Chromium (apt-get install chromium chromium-driver)
	$(BIN)/python -m benchmarks.screenshots

api: $(STAMP) ## the page of public names, docs/api.md, from the docstrings
	$(BIN)/python docs/api.py

ui: $(STAMP) ## the MLflow UI on what your sweeps stored, on this machine only
	$(BIN)/tuneexp ui

format: $(STAMP) ## put every file into the project's format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

install: $(STAMP) ## only make the virtual environment

clean: ## remove virtual environments and caches (never what sweeps stored in runs/)
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# The stamp is written last: an interrupted installation starts again instead of passing for whole.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it, or name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) (the first time: a few minutes, mostly downloads)"
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --no-compile --no-deps rl_zoo3==2.9.2 # only its files are read, by tests
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true # as pip does, but on all cores
	@touch $@

$(PEERS_STAMP): benchmarks/peers-constraints.txt
	@echo "Making $(PEERS) with the peers of the benchmark (a few minutes)"
	test -x $(PEERS)/bin/python || "$(PYTHON)" -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q -c benchmarks/peers-constraints.txt \
		stable-baselines3 'ray[rllib,tune]' torch gymnasium optuna
	@touch $@
