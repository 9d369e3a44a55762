# Everything is done inside .venv; nothing outside this folder is touched.
# TORCH_INDEX=ADDRESS takes torch from another package index: the CPU build of pytorch.org is a tenth of the size.
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FAST := tests/test_house.py tests/files tests/signals tests/runs tests/ops/test_convolution.py tests/ops/test_padding.py \
  tests/cli/test_convolve.py tests/cli/test_local_var.py tests/cli/test_inspect_weights.py
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c tests/constraints.txt

.PHONY: demo test test-fast lint format bench docs clean
.DELETE_ON_ERROR:

demo: $(READY)
	@echo; echo '$$ convtool convolve 4,1,2,5 -k 1,2,-1'
	@$(BIN)/convtool convolve 4,1,2,5 -k 1,2,-1
	@echo; echo '$$ convtool convolve examples/guitar.wav -k examples/hall.wav --mix 0.4 -o demo/guitar-in-hall.wav --plot demo/guitar-in-hall.png'
	@$(BIN)/convtool -v convolve examples/guitar.wav -k examples/hall.wav --mix 0.4 -o demo/guitar-in-hall.wav --plot demo/guitar-in-hall.png --overwrite
	@echo; echo "Listen to demo/guitar-in-hall.wav and look at demo/guitar-in-hall.png."
	@echo "The command is $(BIN)/convtool; 'source $(BIN)/activate' puts it on your PATH."

$(READY): pyproject.toml tests/constraints.txt
	@echo 'Installing what convtool and its tests need into $(VENV): about two minutes, once.'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) 'pip>=25.1'
	@$(INSTALL) 'torch==2.13.0' $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)')
	@$(INSTALL) -e . --group dev
	@touch $@

test: $(READY)
	@echo 'Lint, types, every test, and the coverage of every branch: about 13 minutes on two cores (make test-fast: 1).'
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n auto --maxprocesses 4
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# The rules of the house, reading and writing, the mathematics of convolution and padding, and three commands.
test-fast: $(READY)
	$(BIN)/python -m pytest -n auto -k 'not gradients' $(FAST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Against SciPy, ffmpeg and sox in the same run; those that are not installed are left out, aloud.
bench: $(READY)
	@$(INSTALL) --group bench
	$(BIN)/python -m tests.bench

# The generated parts of README.md and docs/, and the pictures.
docs: $(READY)
	$(BIN)/python -m tests.docs

clean:
	rm -rf $(VENV) demo build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
