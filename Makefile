# Two commands for a newcomer: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install run test lint chaos clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --only-binary :all: -e '.[dev]'
	touch $@

run: install
	$(BIN)/hive review hive --output hive-report

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not chaos and not alone'
	$(BIN)/python -m pytest -p no:xdist -m 'alone and not chaos'

chaos: install
	$(BIN)/python -m pytest -m chaos -p no:xdist

clean:
	rm -rf .venv hive-report .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
