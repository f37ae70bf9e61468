# Everything a newcomer needs: `make run`, then `make test`. Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOME_FOLDER := configs/.headgate
CONFIG ?= configs/quickstart.yaml
TORCH := torch==2.13.0
UV := uv==0.13.9

# State and telemetry: nothing outside the home folder, nothing sent anywhere.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TOKENIZERS_PARALLELISM := false
# Where this is set, each of a run's processes compiles all libraries anew: two thirds of the time of loading them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow quick lint check release-check quickstart-data docs stop lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv installs the lock in seconds where pip takes minutes; `make install INSTALLER=pip` does without it, and so does
# a machine where uv finds no way. It reads no settings of pip, so it is given pip's index and folders of packages.
INSTALLER ?= uv
pip_says = $$(printenv PIP_$(1) || $(BIN)/python -m pip config get global.$(2) 2>/dev/null || true)
pip_install = $(BIN)/python -m pip install --quiet $(1)
uv_install = UV_INDEX_URL="$(call pip_says,INDEX_URL,index-url)" UV_FIND_LINKS="$(call pip_says,FIND_LINKS,find-links)" \
  $(BIN)/python -m uv pip install --quiet --python $(BIN)/python $(1) \
  || { echo "uv cannot install this here (above); pip tries"; $(call pip_install,$(1)); }
install_with = $(call $(if $(filter uv,$(INSTALLER)),uv,pip)_install,$(1))

$(BIN)/headgate: requirements.lock pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@# The hashes are those of the files for Python 3.11 on Linux x86-64; torch's build is the index's choice.
	@if $(BIN)/python -c 'import platform as p, sys; sys.exit(sys.version_info[:2] != (3, 11) or p.machine() != "x86_64" or p.system() != "Linux")'; \
	then cp requirements.lock $(VENV)/lock; else sed 's/ --hash=.*//' requirements.lock > $(VENV)/lock; fi
	@echo "installing into $(VENV) (with $(INSTALLER))"
	@$(if $(filter uv,$(INSTALLER)),$(call pip_install,$(UV)))
	@$(call install_with,--no-deps --requirement $(VENV)/lock)
	@$(call install_with,$(TORCH))
	@$(call install_with,--no-deps --no-build-isolation --editable .)
	@touch $(BIN)/headgate

install: $(BIN)/headgate ## a virtual environment with the pinned dependencies

quickstart-data: $(BIN)/headgate
	@$(BIN)/python -m sources.quickstart.generate $(HOME_FOLDER)/quickstart

run: quickstart-data ## the whole flow on the quickstart project: merge, validate, train, gate, register, deploy
	@$(BIN)/headgate retrain $(CONFIG)

test: $(BIN)/headgate ## the test suite (20 to 30 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(BIN)/headgate ## the longer tests (an hour)
	$(BIN)/python -m pytest -m slow

quick: $(BIN)/headgate ## all benchmarks and campaigns in small (within a minute each)
	@failed=0; \
	$(BIN)/python -m benchmarks --quick || failed=1; \
	$(BIN)/python -m tests.campaigns --quick || failed=1; \
	exit $$failed

lint: $(BIN)/headgate ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint and test

release-check: $(BIN)/headgate ## version, changelog and schema agree
	$(BIN)/python -m tests.support.release_check

# Its tools lie beside the environment: what a model is made with stays as it is.
DOCS_TOOLS := build/docs-tools

docs: $(BIN)/headgate ## the docs site, for reading without a network: build/docs/index.html
	@PYTHONPATH=$(DOCS_TOOLS) $(BIN)/python -c 'import material' 2>/dev/null \
	  || { mkdir -p $(DOCS_TOOLS) && sed 's/ --hash=.*//' requirements.lock > $(DOCS_TOOLS)/lock \
	  && $(BIN)/python -m pip install --quiet --target $(DOCS_TOOLS) --constraint $(DOCS_TOOLS)/lock \
	    "mkdocs>=1.6,<2" "mkdocs-material>=9.7"; }
	@PYTHONPATH=$(DOCS_TOOLS) NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

lock: ## resolve the dependencies anew into requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --report build/lock/report.json $(TORCH) hatchling==1.33.0 ".[test]"
	build/lock/bin/python -m tests.support.lock_file build/lock/report.json > build/lock/made
	mv build/lock/made requirements.lock
	rm -rf build/lock

stop: ## stop the quickstart's endpoint
	@$(BIN)/headgate stop quickstart --home $(HOME_FOLDER)

clean: ## remove the environment and the quickstart's state (stop the endpoint first)
	rm -rf $(VENV) $(HOME_FOLDER)
