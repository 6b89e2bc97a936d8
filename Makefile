# One command a line; `make help` prints them. `make lab` and `make test` need Python 3.11 to 3.13, and nothing else.
# Another Python: make lab PYTHON=python3.12    Linux without the CUDA libraries: make lab TORCH=cpu

ifeq ($(OS),Windows_NT)
  PYTHON ?= py
  COURSE := .venv/Scripts/python.exe
else
  PYTHON ?= python3
  COURSE := .venv/bin/python
endif

# Only a Python that was asked for by name may replace the one that .venv was made with.
INSTALL = $(PYTHON) install.py $(if $(findstring file,$(origin PYTHON)),,--this-python) $(if $(TORCH),--torch $(TORCH))
AUTHORING = $(COURSE) -m course_utils.authoring

FAST = tests/test_answers.py tests/test_claims.py tests/test_stubs.py tests/test_rules.py \
       $(wildcard notebooks/$(LESSON)_*.ipynb solutions/$(LESSON)_*.ipynb)

.DEFAULT_GOAL := help
.PHONY: help install lab test test-fast doctor exercises exercise check run lock lint executorch models mutants portable clean

help:       ## print the commands
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

install:    ## make .venv and install the locked packages; nothing to do the second time
	@$(INSTALL)

lab: install        ## install, then open JupyterLab on lesson 00 (ARGS=--no-browser for no window)
	@$(COURSE) -m course_utils lab $(ARGS)

test: install       ## install, then run every test and every notebook (ARGS="tests/test_x.py -q" for a part)
	@$(COURSE) -m pytest $(ARGS)

test-fast: install  ## only what concerns one lesson, in under a minute (make test-fast LESSON=03)
	@$(COURSE) -m pytest -q --lesson=$(or $(LESSON),00) $(FAST) $(ARGS)

doctor: install     ## check the environment, line by line
	@$(COURSE) -m course_utils doctor

exercises: install  ## make exercises/ from solutions/, headers, footers and the README's table from course.toml
	@$(AUTHORING) refresh

exercise: install   ## write every piece of a new exercise (make exercise ID=01.6 TITLE="A trace for every size")
	@$(AUTHORING) new "$(ID)" "$(TITLE)"

check: install      ## one exercise in seconds (make check ID=01.6): rules, stub, worked answer, tried answers; without ID, all rules
	@$(AUTHORING) check "$(ID)"

run: install        ## run a lesson again and store its outputs (make run LESSON=03; default: all)
	@$(AUTHORING) run $(or $(LESSON),all)

lock: install       ## write the three locks from pyproject.toml (ARGS=--upgrade for the newest versions)
	@$(COURSE) -m uv pip compile --universal --no-emit-index-url --python-version 3.11 $(ARGS) --all-extras --group dev pyproject.toml -o requirements.lock
	@$(COURSE) -m uv pip compile --universal --no-emit-index-url --python-version 3.11 $(ARGS) -c requirements.lock --group executorch -o requirements-executorch.lock
	@printf 'torch\ntorchvision\n' | $(COURSE) -m uv pip compile --universal --no-emit-index-url --python-version 3.11 $(ARGS) -c requirements.lock --excludes - --group models -o requirements-models.lock

lint: install       ## style, format, types, and the direction of imports (the test suite runs it too)
	@$(COURSE) -m pytest -n0 -q tests/test_lint.py $(ARGS)

executorch: install ## ExecuTorch for lesson 11, in an environment of its own inside .venv (0.5 GB)
	@$(COURSE) -m course_utils.classroom.backends.executorch install

models: install     ## the tools on models of timm, transformers, … (0.3 GB, 40 minutes; ARGS="--only kornia")
	@$(AUTHORING) models $(ARGS)

mutants: install    ## plant faults in the worked answers and see whether the checks find them (ARGS=03.2 for one)
	@$(AUTHORING) mutants $(ARGS)

portable: install   ## run what is compared as other machines would, and print a table (hours; ARGS="--only busy")
	@$(AUTHORING) portable $(ARGS)

clean:      ## remove .venv and what the tools leave behind; answers and progress stay
	rm -rf .venv .venv.lock .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
