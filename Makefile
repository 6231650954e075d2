# lingport: `make demo` and `make test` need Python 3.11+, git, make and the package registry; nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check slow interop setup clean

demo: $(READY)
	@echo "== demo: seven configurations on the embedded nano backbone, English to other languages (about 3 minutes)"
	$(BIN)/lingport demo

test: $(READY)
	@echo "== tests (four to six minutes on two cores)"
	$(BIN)/python -m pytest

check: $(READY)
	@echo "== lint"
	$(BIN)/ruff check src tests docs benchmarks
	@echo "== format"
	$(BIN)/ruff format --check src tests docs benchmarks
	@echo "== types"
	$(BIN)/pyright --pythonpath $(BIN)/python
	@echo "== import rules and links in the docs"
	$(BIN)/python -m pytest tests/test_rules.py tests/test_docs.py

slow: $(READY)
	@echo "== slow tests: several processes, killed workers of Ray and Slurm, dry runs of all recipes (some minutes)"
	$(BIN)/python -m pytest -m slow

interop: $(READY)
	@echo "== adapters 1.3 and peft 0.21, each in an environment of its own (a few minutes and 2 GB, once)"
	$(BIN)/python -m pytest -m interop -s tests/formats/test_interop.py

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "== set-up: a virtual environment in $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV)
