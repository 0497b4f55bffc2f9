# make demo | make test | make test-cluster | make results | make bench | make lint | make clean. Everything lives in .venv; PYTHON=python3.13 chooses another Python.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

RESULTS ?= cnn cnn-robust cnn-deep resnet50
RUNS := results/runs
UNSEEN := $(if $(filter cnn,$(RESULTS)),cnn-unseen)

.PHONY: install demo test test-cluster results bench lint pins clean
install: $(STAMP)

$(STAMP): requirements/locked.txt requirements/bootstrap.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
		{ echo "Python 3.11 to 3.14 is needed, $(PYTHON) is another: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/locked.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/cifake-ray demo

test: install
	$(BIN)/pytest

test-cluster: install
	$(BIN)/pytest -m cluster

# One row an experiment: tuned (or gone on with), looked at under degradation, explained; and the tuned cnn once more
# without birds and ships, to be asked about birds and ships. Then the report to be committed.
results: install
	for name in $(RESULTS); do \
		if test -d $(RUNS)/$$name; then $(BIN)/cifake-ray tune --resume $$name --storage $(RUNS); \
		else $(BIN)/cifake-ray tune $$name --storage $(RUNS) $(SET); fi && \
		$(BIN)/cifake-ray evaluate $(RUNS)/$$name --robustness && \
		$(BIN)/cifake-ray evaluate $(RUNS)/$$name --explain || exit; \
	done
	for name in $(UNSEEN); do \
		test -d $(RUNS)/$$name || $(BIN)/cifake-ray train $(RUNS)/cnn --name $$name --storage $(RUNS) \
			--set 'data.leave_out=[bird, ship]' && $(BIN)/cifake-ray evaluate $(RUNS)/$$name --robustness || exit; \
	done
	$(BIN)/cifake-ray report $(addprefix $(RUNS)/,$(RESULTS) $(UNSEEN)) --no-images --with-runs --out results

bench: install
	$(BIN)/python -m benchmarks

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pins: install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--group dev --upgrade pyproject.toml -o requirements/locked.txt
	grep -A99 '^uv==' requirements/locked.txt | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > requirements/bootstrap.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
