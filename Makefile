# Everyday commands. `make run` needs Rust (stable, 1.95 or newer), Python 3.11 or newer, a C linker.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
export VENV
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fluxhybrid/target
# One interpreter for the extension's build, whoever starts it: otherwise PyO3 is built twice.
export PYO3_PYTHON := $(abspath $(BIN)/python)
export PYTHON_BIN := $(PYO3_PYTHON)
export CARGO_TERM_COLOR ?= auto

COVERAGE := $(CARGO_TARGET_DIR)/coverage
NATIVE := python/fluxhybrid/_native.abi3.so
# Coverage of the crates as the Python tests see them, through the extension.
INSTRUMENTED := RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/scripts/rustc-instrumented.sh
PROFILE := LLVM_PROFILE_FILE=$(COVERAGE)/python-%p-%m.profraw

# The plugins are a workspace of their own: apart, so that neither waits for the other's lock.
PLUGIN_CARGO := CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/plugins-native

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build plugins check test bench wheel coverage hooks docs format clean \
	lint-rust lint-python test-rust test-rust-quick test-loom test-doc test-python \
	test-python-quick test-plugins build-test test-packages

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# --- running ----------------------------------------------------------------------------------

run: build ## build what changed and start the platform with a simulated plant
	exec $(BIN)/fluxhybrid serve --demo $(ARGS)

build: $(VENV)/.run-stamp ## build the extension into the checkout, quickly, and the plugins if possible
	@scripts/develop.sh quick
	@$(BIN)/python scripts/build_plugins.py --if-possible

plugins: $(VENV)/.run-stamp ## build all of plugins/ to WebAssembly
	@$(BIN)/python scripts/build_plugins.py

$(VENV)/.run-stamp: pyproject.toml scripts/bootstrap.sh scripts/requirements.py
	@scripts/bootstrap.sh run
	@touch $@

$(VENV)/.dev-stamp: pyproject.toml scripts/bootstrap.sh scripts/requirements.py
	@scripts/bootstrap.sh dev
	@touch $@ $(VENV)/.run-stamp

# --- checking ---------------------------------------------------------------------------------

check: lint-rust lint-python test-rust-quick test-python-quick ## quick: format, lint, unit tests

test: test-packages lint-rust lint-python test-rust test-doc test-loom test-python coverage ## everything

test-packages:
	@scripts/install-test-packages.sh

lint-rust: $(VENV)/.dev-stamp
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cd plugins && cargo fmt --all --check
	cd plugins && $(PLUGIN_CARGO) cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/python scripts/check_layers.py

lint-python: $(VENV)/.dev-stamp
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy --no-error-summary
	PYTHONPATH=python $(BIN)/lint-imports --no-cache

test-rust: $(VENV)/.dev-stamp test-plugins
	scripts/test-rust.sh

test-rust-quick: $(VENV)/.dev-stamp
	cargo test --workspace --lib --quiet
	cd plugins && $(PLUGIN_CARGO) cargo test --workspace --lib --quiet

# Without a sandbox: what the plugins decode, and their vectors.
test-plugins:
	cd plugins && $(PLUGIN_CARGO) cargo test --workspace --quiet

test-doc: $(VENV)/.dev-stamp
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --quiet
	cd plugins && RUSTDOCFLAGS=-Dwarnings $(PLUGIN_CARGO) cargo doc --workspace --no-deps --quiet

# The model checker tries every interleaving up to so many preemptions: two find nearly all bugs.
test-loom: $(VENV)/.dev-stamp
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/loom \
		cargo test -p flux-bus --profile quick --test loom

# Built as the tests are, with coverage, so that nothing is compiled twice.
build-test: $(VENV)/.dev-stamp plugins
	@$(INSTRUMENTED) $(PROFILE) scripts/develop.sh dev

test-python: build-test
	mkdir -p $(COVERAGE)
	$(PROFILE) $(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

test-python-quick: build
	$(BIN)/python -m pytest --quiet -m "not system and not slow" $(ARGS)

coverage: $(VENV)/.dev-stamp ## print the coverage of the last `make test`
	@echo $(abspath $(NATIVE)) | cat $(COVERAGE)/objects - >$(COVERAGE)/objects-all
	@$(BIN)/python scripts/rust_coverage.py --profiles $(COVERAGE) \
		--objects $(COVERAGE)/objects-all --fail-under 70
	@$(BIN)/python -m coverage report --format=total | \
		sed 's/.*/Python coverage, lines and branches: & %/'

bench: $(VENV)/.dev-stamp ## measure; see benches/README.md
	cargo bench --workspace
	@scripts/develop.sh release
	if [ -d benches/python ]; then $(BIN)/python -m pytest benches/python --benchmark-only $(ARGS); fi

# --- making -----------------------------------------------------------------------------------

format: $(VENV)/.dev-stamp ## format everything
	cargo fmt --all
	cd plugins && cargo fmt --all
	$(BIN)/ruff format --quiet
	$(BIN)/ruff check --quiet --fix

docs: build ## write what is generated
	$(BIN)/fluxhybrid config reference >docs/configuration.md
	$(BIN)/python -m fluxhybrid.api.reference docs/API.md

wheel: $(VENV)/.dev-stamp plugins ## build the wheel and the sdist into dist/
	$(BIN)/maturin build --release --sdist --out dist

hooks: ## let git run the checks before commit and push
	@scripts/setup-hooks.sh

clean: ## remove the virtual environment and what was built into the checkout
	rm -rf $(VENV) $(NATIVE) dist .coverage .coverage.* plugins/*/dist
	rm -rf python/fluxhybrid/plugins/ready python/fluxhybrid/plugins/sdk_source
