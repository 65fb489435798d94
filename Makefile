# Two commands do everything: `make demo` shows the main job, `make test` runs what CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint unit soak bench peers clean

demo: $(VENV)/.demo
	@$(BIN)/nocontact demo

test: $(VENV)/.dev peers lint unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist worksteal -m "not soak" --durations 10

soak: $(VENV)/.dev peers
	$(BIN)/pytest -m soak

bench: $(VENV)/.dev peers
	@for file in tests/bench/*.py; do PYTHONPATH=. $(BIN)/python $$file || exit 1; done

peers:
	@tests/peers/install

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nocontactd needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || tests/peers/install venv $(PYTHON) $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/pip
	@echo "setting up $(VENV) (once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	@echo "setting up $(VENV) for the tests (once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo,evidence,microsoft,dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
