# Two commands do everything on a bare machine (python3 with venv, make):
#   make train    set up, then train SpT UNet with the Dice loss on simulated speckles
#   make test     set up, then run the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# Measured data beside the checkout are found without being asked for.
ifneq ($(wildcard ../shared/data),)
export SPT_DATA ?= $(abspath ../shared/data)
endif

.PHONY: setup train quick test test-slow lint types
.DEFAULT_GOAL := setup

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[dev]'
	touch $@

train: setup
	$(BIN)/python train.py model=spt_unet loss=dice $(ARGS)

quick: setup
	$(BIN)/python train.py experiment=quick $(ARGS)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu" $(ARGS)

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not gpu" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
