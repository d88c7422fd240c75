# Everything runs in .venv, which is made at the first call and left alone afterwards.
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RESULT ?= demo-result

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint types docs bench clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.with-video  ## a real clip through the spiking retina; the result goes to demo-result/
	$(BIN)/neurosim demo -o $(RESULT)
	@echo "The result is in $(RESULT)/"

test: $(VENV)/.with-test  ## all tests but the slow ones, on every core
	$(BIN)/python -m pytest -q -n auto -m "not slow"

test-slow: $(VENV)/.with-test  ## only the tests marked slow
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.with-test  ## style, by ruff
	$(BIN)/ruff check .

types: $(VENV)/.with-test  ## types, by mypy
	$(BIN)/mypy

docs: $(VENV)/.with-docs  ## the documentation, to docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: $(VENV)/.with-test  ## speed and memory of the retina, and speed of fitting beside torch
	$(BIN)/python benchmarks/retina.py
	$(BIN)/python benchmarks/fit.py

clean:  ## removes what make made, .venv included
	rm -rf $(VENV) $(RESULT) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find neurosim tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "neurosim needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`." \
	       "Name another one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# A stamp per extra: the second call finds it and installs nothing.
$(VENV)/.with-%: $(VENV)/.made setup.cfg pyproject.toml constraints.txt
	@echo "Installing neurosim with its $* dependencies into $(VENV) (once; a few minutes)"
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@
