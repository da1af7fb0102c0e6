# The habits. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help build lint test fmt clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the engine
	cargo build --locked --workspace

lint: ## rustfmt and clippy, warnings refused
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

test: ## Unit and property tests of the engine
	cargo test --locked --workspace

fmt: ## Format the sources
	cargo fmt --all

clean: ## Remove everything that was built
	cargo clean
	rm -rf .venv build dist bench/out
