# Everything starts here; each target sets up what is missing first.
#   make test ARGS='-m "not slow"'     options for pytest; -n 0 for one test at a time
#   make setup OPS=compiled            compile all operators of mmcv (a C++ compiler; minutes)
#   make setup PYTHON=python3.12       another interpreter
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON_VENV := .venv/bin/python
ARGS ?=

.PHONY: help setup app demo test lint docs site clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup:  ## .venv with the pinned packages
	@bash tools/setup_env.sh

app: setup  ## what `symmim app` needs besides (350 MiB)
	@$(PYTHON_VENV) -m pip install -q --no-deps -r requirements/app_pins.txt

demo: setup  ## sample data, pre-train, transfer, compare: table and work_dirs/quickstart/report/index.html
	@$(PYTHON_VENV) tools/run_suite.py configs/suites/quickstart.yaml $(ARGS)

# Without the limit pytest-xdist 3.8 waits forever once a process has died and been replaced.
test: setup  ## whole test suite, two tests at a time
	@$(PYTHON_VENV) -m pytest -n 2 --dist loadgroup --max-worker-restart 0 $(ARGS)

lint: setup  ## ruff (rules and format) and mypy
	@$(PYTHON_VENV) -m ruff check .
	@$(PYTHON_VENV) -m ruff format --check .
	@$(PYTHON_VENV) -m mypy

docs: setup  ## docs/recipes.md from the configs
	@$(PYTHON_VENV) docs/recipes/build.py $(ARGS)

site: .venv/site/bin/mkdocs  ## the documentation as a site: site/index.html (its search: `python3 -m http.server -d site`)
	@NO_MKDOCS_2_WARNING=1 .venv/site/bin/mkdocs build --strict $(ARGS)

# Apart from the packages that train: it reads the source and imports none of it.
.venv/site/bin/mkdocs: requirements/docs.txt
	@$(or $(PYTHON),python3) -m venv .venv/site
	@.venv/site/bin/pip install -q -r requirements/docs.txt
	@touch $@

clean:  ## remove .venv and caches (keeps work_dirs)
	rm -rf .venv .venv.lock .pytest_cache .ruff_cache .hypothesis build site *.egg-info
	find symmim_mm tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
