# Everything is done inside .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint format bench docs clean
.DELETE_ON_ERROR:

demo: $(READY)
	@echo; echo '$$ convtool convolve 4,1,2,5 -k 1,2,-1'
	@$(BIN)/convtool convolve 4,1,2,5 -k 1,2,-1
	@echo; echo '$$ convtool convolve examples/guitar.wav -k examples/hall.wav --mix 0.4 -o demo/guitar-in-hall.wav --plot demo/guitar-in-hall.png'
	@$(BIN)/convtool -v convolve examples/guitar.wav -k examples/hall.wav --mix 0.4 -o demo/guitar-in-hall.wav --plot demo/guitar-in-hall.png --overwrite
	@echo; echo "Listen to demo/guitar-in-hall.wav and look at demo/guitar-in-hall.png."
	@echo "The command is $(BIN)/convtool; 'source $(BIN)/activate' puts it on your PATH."

$(READY): pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt -e . --group dev
	@touch $@

test: lint
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Against SciPy, ffmpeg and sox in the same run; those that are not installed are left out, aloud.
bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt --group bench
	$(BIN)/python -m tests.bench

docs: $(READY)
	$(BIN)/python -m tests.docs

clean:
	rm -rf $(VENV) demo build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
