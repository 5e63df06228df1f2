# One virtual environment, .venv, made where there is none. A stamp in it says which extras it has, so a second call is quick.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin

# Small networks are faster on one thread than on two that wait for each other.
export OMP_NUM_THREADS ?= 1

# Folder of real data, for the tests that want some; without it they are skipped.
export MASKFUSION_DATA ?=

# Options for pytest-cov, which .ci/run sets.
COVER ?=

# A process for each core; the tests of one file stay in one, since they share what takes long to make.
SPREAD := --numprocesses auto --dist loadfile
# Slow tests wait for processes that they start, so one more; in their order, since the longest are in files with few tests.
SPREAD_SLOW := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help benchmark coverage demo test test-slow lint types imports docs notebook wheel release-check lock format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.examples  ## Ask whether joining helps, on the data that ships with the repository; ARGS="NAME --root PATH" for other data
	$(BIN)/python -m examples compare $(or $(ARGS),demo)

benchmark: $(VENV)/.benchmark  ## Time the quantiser and the mask against others, for the docs, and fail where a target is missed; minutes, on an idle machine
	$(BIN)/python -m tests.benchmarks $(ARGS)

test: $(VENV)/.test  ## Run the tests, all but the slow ones; ARGS="-k quantizer" for a few
	$(BIN)/python -m pytest $(SPREAD) -m "not slow" $(COVER) $(ARGS)

test-slow: $(VENV)/.test  ## Run the slow tests, and those of the library again with the shapes in annotations checked
	$(BIN)/python -m pytest $(SPREAD) -o addopts="-ra --strict-markers" --jaxtyping-packages=maskfusion,beartype.beartype \
	  -m "not unchecked and not slow" tests --ignore=tests/examples
	$(BIN)/python -m pytest $(SPREAD_SLOW) -m slow $(ARGS)

coverage: $(VENV)/.test  ## Say what `COVER=--cov make test` reached: all of the library, nine tenths of the examples
	$(BIN)/python -m coverage report --include='maskfusion/*' --fail-under=100
	$(BIN)/python -m coverage report --include='examples/*' --fail-under=90

lint: $(VENV)/.dev  ## Check style, format and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

types: $(VENV)/.dev  ## Check types
	$(BIN)/mypy

imports: $(VENV)/.dev  ## Check that imports run one way
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.docs  ## Build the pages into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet -d docs/_build/doctrees docs docs/_build/html

notebook: $(VENV)/.docs  ## Write examples/quickstart.ipynb anew from docs/quickstart.md
	$(BIN)/python -m docs.shown.notebook

wheel: $(VENV)/.dev  ## Build sdist and wheel into dist/, and import the wheel in an environment of its own
	rm -rf dist
	$(BIN)/python -m build
	$(PYTHON) -m venv dist/.venv
	dist/.venv/bin/pip install --quiet --no-compile -c constraints.txt dist/*.whl
	cd dist && .venv/bin/python -P -c "import maskfusion; print('maskfusion', maskfusion.__version__, maskfusion.__file__)"

release-check:  ## Check sdist and wheel, and run the library's tests on the wheel; ARGS="--python 3.10 3.13 --torch 2.6.0 2.13.0"
	$(PYTHON) tools/release_check.py $(ARGS)

lock: $(VENV)/.test  ## Note in constraints-ci.txt what is installed here and in .venv-tools, which CI installs again
	(head -1 constraints-ci.txt; for python in $(BIN)/python .venv-tools/bin/python; do $$python -m pip list --format=freeze; done \
	  | grep -viE '^(maskfusion|pip|setuptools|torch)=' | sort -u) > .lock && mv .lock constraints-ci.txt

format: $(VENV)/.dev  ## Mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) .venv-tools dist docs/_build .coverage .*_cache

# pip is the last thing that `venv` writes, so a half-made environment is made again.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# Extras that another one contains need no call of pip.
INSIDE.dev := docs examples test
INSIDE.test := examples
INSIDE.docs := examples

$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing maskfusion[$*] into $(VENV), once. With PyTorch to be downloaded this takes minutes."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$*]'
	@touch $@ $(INSIDE.$*:%=$(VENV)/.%)
