# Every target does its own set-up: a virtual environment in .venv, the wheel, the packages it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST := Cargo.toml Cargo.lock $(shell find src python/src cli/src -name '*.rs' 2>/dev/null) python/Cargo.toml
PACKAGE := pyproject.toml $(shell find python -name '*.py' -o -name '*.pyi' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-isa miri bench bench-faiss-api bench-peers lint doc clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/steep ## search 200,000 lines of code and doc-strings; DATA=file QUERIES=file METRIC=l2 for your own vectors
	$(BIN)/python demo/demo.py $(if $(DATA),--data "$(DATA)") $(if $(QUERIES),--queries "$(QUERIES)") $(if $(METRIC),--metric $(METRIC))

test: lint test-rust test-python ## all tests, Rust and Python, lints included

test-rust: ## the Rust tests, doc tests included
	cargo test --workspace --exclude steep-python
	cargo test --doc

test-python: $(VENV)/steep $(VENV)/test ## the Python tests: the package, the bench harness, the demo
	$(BIN)/python -m pytest -q python/tests bench/tests demo/tests

lint: $(VENV)/test ## formatting, clippy, rustdoc, ruff
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test-isa: ## the kernels on every instruction set, emulated where this processor lacks one
	scripts/test-isa.sh

miri: ## the safe parts under Miri, where it is installed
	scripts/miri.sh

bench: $(VENV)/steep $(VENV)/bench ## exact search against Faiss, in one interleaved run; ARGS=… for `python -m bench compare-flat`; ARGS=--faiss-api for the next
	$(BIN)/python -m bench $(if $(filter --faiss-api,$(ARGS)),compare-faiss-api,compare-flat) $(filter-out --faiss-api,$(ARGS))

bench-faiss-api: $(VENV)/steep $(VENV)/bench ## one Faiss script through `faiss` and through `steep.faiss`; ARGS=… for `python -m bench compare-faiss-api`
	$(BIN)/python -m bench compare-faiss-api $(ARGS)

bench-peers: $(VENV)/steep $(VENV)/bench ## every engine; ARGS="--data … --engines …" for `python -m bench run`
	$(BIN)/python -m bench run $(ARGS)

doc: ## the Rust documentation, in target/doc
	cargo doc --no-deps --open

clean: ## what the targets above made
	cargo clean
	rm -rf $(VENV)

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/steep: $(VENV)/python $(RUST) $(PACKAGE)
	$(BIN)/python -m pip install --quiet .
	@touch $@

$(VENV)/test: $(VENV)/python requirements-test.txt
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	@touch $@

$(VENV)/bench: $(VENV)/python bench/requirements.txt
	$(BIN)/python -m pip install --quiet -r bench/requirements.txt
	@touch $@
