# Everything a newcomer types. Set-up happens by itself and is done again only when pyproject.toml or the lock change.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
SEEDS  ?=
TEXTS  ?=

.PHONY: setup demo test check bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock pipeline/models/models.toml
	@command -v $(PYTHON) >/dev/null || { echo "winnow needs Python 3.11: install it, or say make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/requirements.lock $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[train,extractor,dev]'
	$(BIN)/winnow models add lid.176
	$(BIN)/winnow compile
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m examples.demo --seeds "$(SEEDS)"

test: check
	$(BIN)/python -m pytest -q

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# TEXTS=FILE.jsonl.zst for figures worth quoting; without it, the pages of the demo's garden
bench: $(STAMP)
	$(BIN)/python benchmarks/pipeline_speed.py $(TEXTS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
