# What a person types here: make lab, make test. Everything goes into .venv beside this file.
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach p,python3 python3.15 python3.14 python3.13 python3.12 python3.11,$(if $(shell $(p) -c \
	'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))) python3)
VENV ?= .venv
PY := $(VENV)/bin/python
RUN_STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
CODE := vmxsim tests benchmarks deploy images notebooks
# Metadata that JupyterLab writes and the committed notebooks do not have.
KEYS := metadata.language_info.codemirror_mode metadata.language_info.file_extension \
	metadata.language_info.mimetype metadata.language_info.nbconvert_exporter \
	metadata.language_info.pygments_lexer metadata.language_info.version
CLEAN = if test -x "$(abspath $(PY))"; then "$(abspath $(PY))" -m nbstripout --keep-id --extra-keys "$(KEYS)"; \
	else cat; fi
# A notebook that was only run still looks modified to git, by its size, until it is added: nothing is staged.
SETTLE = git diff-files --name-only -- notebooks 2>/dev/null | while read -r file; do \
	if git diff --quiet -- "$$file"; then git add -- "$$file"; fi; done
# Options for `vmxsim lab` (make lab ARGS="--no-browser --port 9999") and for pytest (make test ARGS="-k smi").
ARGS ?=

.PHONY: help lab outputs-out-of-git setup test test-lowest lint format images bench site test-site clean
.DELETE_ON_ERROR:

help:
	@echo "make lab     install into $(VENV) and open JupyterLab on the first notebook"
	@echo "make setup   install what the tests need, without running them"
	@echo "make test    install what the tests need and run them all"
	@echo "make test-lowest   the same without the browser, with the oldest versions that pyproject.toml allows"
	@echo "make lint    ruff, format check, mypy"
	@echo "make format  let ruff format, strip the notebooks' outputs, title links to the glossary"
	@echo "make images  redraw images/"
	@echo "make site    build the course as a static site that runs in the browser, in build/site (needs npm)"
	@echo "make test-site   try that site in a browser"
	@echo "make bench   print every measured figure"
	@echo "make clean   remove $(VENV) and caches"

lab: $(RUN_STAMP) outputs-out-of-git
	@trap : INT; $(VENV)/bin/vmxsim lab $(ARGS); ended=$$?; $(SETTLE); exit $$ended

# What a learner's runs leave in the notebooks stays out of git: .gitattributes names this filter. Where it
# cannot run, git takes the file as it is.
outputs-out-of-git: $(RUN_STAMP)
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
		git config filter.notebook-outputs.smudge cat; \
		git config filter.notebook-outputs.clean '$(CLEAN)'; fi

setup: $(TEST_STAMP)

# Whoever does not want Python to keep bytecode wants it here: some hundred processes would compile the package.
test: $(TEST_STAMP)
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# With the oldest versions that pyproject.toml allows, in an environment of its own: are the bounds true?
LOWEST := build/lowest
test-lowest:
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --editable '.[test]'
	$(LOWEST)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/browser $(ARGS)

lint: $(TEST_STAMP)
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy

format: $(TEST_STAMP)
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)
	$(PY) -m tests.notebooks.glossary_titles
	$(PY) -m nbstripout --keep-id notebooks/*.ipynb notebooks/labs/*.ipynb notebooks/labs/source/*.ipynb

images: $(RUN_STAMP)
	$(PY) images/draw.py

site: $(RUN_STAMP)
	$(PY) -m deploy.site.build

test-site: $(TEST_STAMP)
	VMXSIM_TEST_SITE=1 $(PY) -m pytest tests/browser/test_site.py $(ARGS)

bench: $(TEST_STAMP)
	@for program in $$(grep -l __main__ benchmarks/*.py); do \
		echo "== $$program"; $(PY) $$program || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist .hypothesis
	find vmxsim tests benchmarks notebooks -name __pycache__ -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "vmxsim needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)."; \
		echo "Say which one to use: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv"; \
		exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[lab]'
	@touch $@

# uv needs half of pip's time. Where it cannot be had, pip does it.
$(TEST_STAMP): pyproject.toml | $(PY)
	{ $(PY) -m pip install --quiet --disable-pip-version-check uv && \
		$(PY) -m uv pip install --quiet --python $(PY) --compile-bytecode --editable '.[test]'; } || \
		$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(RUN_STAMP) $@
