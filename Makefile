# The project's one command interface: people and CI run the same targets.

.DEFAULT_GOAL := help
CARGO ?= cargo
# Seconds that `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60

# $(call need,command,name and package,what still works)
need = @command -v $(1) >/dev/null || \
	{ echo "make $@: '$(1)' is missing ($(2)). $(3)" >&2; exit 1; }
need_rust = $(call need,$(CARGO),Rust: https://rustup.rs,Nothing here works without it.)
need_c = $(call need,cc,a C compiler: Debian package gcc,Only 'cargo fmt --check' works without it.)

.PHONY: help
help: ## What each target does (the default).
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## The release binaries: pipeline, loadgen, test-app.
	$(need_rust)
	$(need_c)
	$(CARGO) build --release --locked --workspace --bins

.PHONY: check
check: ## The contributor's loop: format, clippy, unit tests.
	$(need_rust)
	$(need_c)
	$(CARGO) fmt --all --check
	$(clippy)
	$(CARGO) test --locked --workspace --lib --bins

.PHONY: test
test: ## Every test that needs Rust, a C compiler and make only.
	$(need_rust)
	$(need_c)
	$(CARGO) test --locked --workspace
	@echo
	@echo "Not run: the tests against the real Kafka and the real Jaeger (make test-real), and the"
	@echo "fuzz targets (make fuzz)."

# One build for binaries and tests: asked for apart, cargo would choose features apart and compile
# the shared crates twice. In release, because these tests carry load.
.PHONY: test-real
test-real: ## The tests against the real Kafka and Jaeger (needs Java, Maven and Go).
	$(need_rust)
	$(need_c)
	scripts/real-parts all
	$(CARGO) build --release --locked --workspace --bins --test real
	$(CARGO) test --release --locked --workspace --test real

.PHONY: lint
lint: ## Format, clippy, documentation, generated files, licences and advisories.
	$(need_rust)
	$(need_c)
	$(CARGO) fmt --all --check
	$(clippy)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	scripts/generate --check
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check; \
	elif [ "$${GITHUB_ACTIONS:-}" = true ]; then \
		echo "make lint: 'cargo-deny' is missing, and GitHub's CI may not go without" >&2; exit 1; \
	else \
		echo "NOT CHECKED: licences and advisories; 'cargo-deny' is missing" \
			"(cargo install --locked cargo-deny). Everything else was checked." >&2; \
	fi

.PHONY: generate
generate: ## README.md's table of settings and docs/METRICS.md, from the program itself.
	$(need_rust)
	scripts/generate

# New inputs go to the first folder, out of the repository's sight; the second is the corpus.
.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ_SECONDS (60) each (needs nightly Rust and cargo-fuzz).
	$(need_rust)
	$(call need,cargo-fuzz,cargo install --locked cargo-fuzz,'make test' replays the corpora.)
	@targets=$$($(CARGO) +nightly fuzz list) && for target in $$targets; do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		mkdir -p "fuzz/target/found/$$target"; \
		$(CARGO) +nightly fuzz run "$$target" "fuzz/target/found/$$target" "fuzz/corpus/$$target" \
			-- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

.PHONY: ci
ci: ## Everything above as CI runs it, with the minutes of each stage.
	@scripts/ci

.PHONY: clean-cache
clean-cache: ## Removes the real parts that test-real fetched and built.
	scripts/real-parts clean

# `--all-targets` passes over the tests that plain `cargo test` passes over: they are named.
define clippy
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --test real -- -D warnings
endef
