# Everything a newcomer types. Set-up happens by itself and is done again only when pyproject.toml or the lock change.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
SEEDS  ?=
TEXTS  ?=
FUZZ   ?= 2000

.PHONY: setup demo test check fuzz bench clean

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

# FUZZ examples for each fuzz test (the suite throws a few), kernels with bounds checks; the first run compiles those
fuzz: $(STAMP)
	WINNOW_FUZZ_EXAMPLES=$(FUZZ) NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.pytest_cache/numba-with-bounds-checks \
	$(BIN)/python -m pytest -q -m fuzz

# TEXTS=FILE.jsonl.zst for figures worth quoting; without it, the pages of the demo's garden
bench: $(STAMP)
	$(BIN)/python benchmarks/pipeline_speed.py $(TEXTS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
