# `make` alone prints the targets. Everything lives in .venv; PYTHON=python3.13 chooses another Python.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

export RESULTS SET

.PHONY: help install demo test test-cluster test-oldest coverage results bench lint pins clean
help: # print this list
	@grep -E '^[a-z-]+:.*# ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*# /  make \1\t/' | expand -t 22

install: $(STAMP) # make .venv with every pinned package

$(STAMP): requirements/locked.txt requirements/bootstrap.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
		{ echo "Python 3.11 to 3.14 is needed, $(PYTHON) is another: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/locked.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install # install, tune three models on the built-in sample, print the comparison
	$(BIN)/cifake-ray demo
	@echo "the program is $(BIN)/cifake-ray; after \`source $(BIN)/activate\` the name alone starts it"

test: install # install, run the tests
	$(BIN)/pytest

test-cluster: install # run the long tests: several nodes, lost processes, real images
	$(BIN)/pytest -m cluster

test-oldest: install # run the tests that start no Ray with the oldest allowed packages, in .venv-oldest
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct --group test --editable .
	.venv-oldest/bin/python -m pytest --without-ray

coverage: install # run the tests and print which share of the lines ran, files that lack most first
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

results: install # tune every published experiment on CIFAKE and write results/ (many hours)
	scripts/results.sh

bench: install # measure speed side by side (two hours)
	$(BIN)/python -m benchmarks

lint: install # ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pins: install # resolve requirements/ anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--group dev --upgrade pyproject.toml -o requirements/locked.txt
	grep -A99 '^uv==' requirements/locked.txt | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > requirements/bootstrap.txt

clean: # remove .venv and caches
	rm -rf .venv .venv-oldest .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
