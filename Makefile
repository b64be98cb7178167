# Sets up .venv and calls `python -m npcbook`; everything else is in the library.
PYTHON ?= python3
PROFILE ?= laptop
RUN := .venv/bin/python
PIP := $(RUN) -m pip install -q --no-compile --disable-pip-version-check
READY := .venv/.ready
# Packages are turned into bytecode when first used, which most of their modules never are. Were it not kept,
# every process would do so again, and a book starts a hundred.
unexport PYTHONDONTWRITEBYTECODE
# A value as one word of the shell, whatever it holds.
quoted = '$(subst ','\'',$(1))'

.PHONY: help book test quick lab lint bench lock clean
.DELETE_ON_ERROR:

help:
	@echo "make book    set up, simulate the cohort, run every chapter, build the pages (PROFILE=laptop)"
	@echo "make test    set up and run the tests: library, every chapter in the smoke profile, the built book"
	@echo "make quick   the library's tests alone"
	@echo "make lab     JupyterLab on copies of the chapters, with runs and cohorts beside them"
	@echo "make lint    formatting, style, docstrings, types of the faces, arrows and size of the house"
	@echo "make bench   time the library against its references"
	@echo "make clean   remove runs, synthetic cohorts and built pages; make lock: rewrite the pins"

book: $(READY)
	$(RUN) -m npcbook book --profile=$(call quoted,$(PROFILE))

test: $(READY)
	PYTHON=$(call quoted,$(PYTHON)) tools/system-packages chromium
	$(RUN) -m pytest -n 2 --dist loadgroup --durations=40 --cov=npcbook --cov-report=term:skip-covered

quick: $(READY)
	$(RUN) -m pytest -n 2 -m "not book and not slow"

lab: $(READY)
	$(RUN) -m npcbook lab

lint: $(READY)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo
	$(RUN) -m mypy
	$(RUN) tools/house.py
	$(RUN) -m npcbook sync --check

bench: $(READY)
	for script in benchmarks/*.py; do $(RUN) $$script || exit 1; done

clean: $(READY)
	$(RUN) -m npcbook clean

lock: $(READY)
	$(RUN) tools/lock.py

# pyradiomics is compiled against the numpy that is already there, so it goes in between. The pins are complete but
# for what other systems need besides, which the check finds; so nothing is resolved, and two pips share the work.
$(READY): requirements.lock pyproject.toml
	PYTHON=$(call quoted,$(PYTHON)) tools/system-packages
	[ -x $(RUN) ] || $(call quoted,$(PYTHON)) -m venv .venv
	@echo "Installing the pinned packages (a minute or more) ..."
	$(PIP) --no-deps $$(grep -E '^(numpy|setuptools|wheel)==' requirements.lock)
	PYTHONPATH=tools/build_shim $(PIP) --no-deps --no-build-isolation $$(grep '^pyradiomics==' requirements.lock)
	grep == requirements.lock | xargs -P 2 -n 40 $(PIP) --no-deps
	$(RUN) -m pip check > /dev/null || $(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@
