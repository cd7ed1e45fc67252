# The project's one command interface: people and CI run the same targets.

.DEFAULT_GOAL := help
CARGO ?= cargo
# Seconds that `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60

# $(call need,command,name and package,what still works)
need = @command -v $(1) >/dev/null || \
	{ echo "make $@: '$(1)' is missing ($(2)). $(3)" >&2; exit 1; }
need_compose = @docker compose version >/dev/null 2>&1 || { \
	echo "make $@: 'docker compose' is missing (https://docs.docker.com/get-docker)." \
		"'make test' and 'make build' need none." >&2; exit 1; }
need_rust = $(call need,$(CARGO),Rust: https://rustup.rs,Nothing here works without it.)
need_c = $(call need,cc,a C compiler: Debian package gcc,Only 'cargo fmt --check' works without it.)

.PHONY: help
help: ## What each target does (the default).
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# DEMO_SECONDS=20 ends by itself and tells by its exit code whether every acknowledged span was
# found. DEMO_TRAFFIC=off leaves the shop out. KAFKA=real starts Apache Kafka (with Java and Maven),
# KAFKA_BROKERS=host:port takes yours. GRPC_PORT, HTTP_PORT and UI_PORT choose the ports.
.PHONY: demo
demo: ## A shop, a broker (KAFKA=real: Kafka itself), the pipeline and Jaeger's UI. Ctrl-C ends it.
	$(need_rust)
	$(need_c)
	@CARGO="$(CARGO)" scripts/demo

.PHONY: build
build: ## The release binaries: pipeline, loadgen, test-app.
	$(need_rust)
	$(need_c)
	$(CARGO) build --release --locked --workspace --bins --exclude compare --exclude torture

.PHONY: check
check: ## The contributor's loop: format, clippy, unit tests.
	$(need_rust)
	$(need_c)
	$(locks)
	$(CARGO) fmt --all --check
	$(clippy)
	$(CARGO) test --locked --workspace --lib --bins

.PHONY: locks
locks: ## Whether the three lock files fit their manifests: seconds, before anything is built.
	$(need_rust)
	$(locks)

.PHONY: test
test: ## Every test that needs Rust, a C compiler and make only.
	$(need_rust)
	$(need_c)
	$(CARGO) test --locked --workspace
	CARGO="$(CARGO)" scripts/demo test
	@echo
	@echo "Not run: the tests against the real Kafka and the real Jaeger (make test-real), and the"
	@echo "fuzz targets (make fuzz)."

# In release, because these tests carry load.
.PHONY: test-real
test-real: ## The tests against the real Kafka and Jaeger (needs Java, Maven and Go).
	$(need_rust)
	$(need_c)
	scripts/real-parts all
	$(release_build)
	$(CARGO) test --release --locked --workspace --test real

.PHONY: bench
bench: ## The pipeline in figures, into benches/record (needs Java and Maven).
	$(need_rust)
	$(need_c)
	scripts/real-parts kafka
	$(release_build)
	target/release/compare bench

.PHONY: compare
compare: ## This, the Collector and the floor in one run (needs Java, Maven and Go).
	$(need_rust)
	$(need_c)
	scripts/real-parts kafka collector
	$(release_build)
	target/release/compare

.PHONY: bench-smoke
bench-smoke: ## Every benchmark once, with tiny loads: that they run, not how fast.
	$(need_rust)
	$(need_c)
	scripts/real-parts kafka collector
	$(CARGO) bench --locked --workspace --bench micro -- --test
	$(release_build)
	target/release/compare smoke

# TORTURE names rows (`make torture TORTURE=--list` shows them), a seed or a budget of minutes.
.PHONY: torture
torture: ## Every fault and overload under load: a line per row, and what was lost (Java, Maven).
	$(need_rust)
	$(need_c)
	scripts/real-parts kafka
	$(release_build)
	@# The hostile clients are thousands in one process.
	ulimit -n "$$(ulimit -Hn)" && target/release/torture $(TORTURE)

.PHONY: deep
deep: ## Loom, Miri, sanitizers and long fuzzing, outside CI (needs nightly Rust, some 5 GB).
	$(need_rust)
	CARGO="$(CARGO)" scripts/deep $(DEEP)

.PHONY: lint
lint: ## Format, clippy, documentation, generated and deployed files, licences, advisories.
	$(need_rust)
	$(need_c)
	$(CARGO) fmt --all --check
	$(clippy)
	$(CARGO) fmt --manifest-path demo/Cargo.toml --all --check
	CARGO="$(CARGO)" scripts/demo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	scripts/generate --check
	scripts/lint-deploy
	@if ! command -v cargo-deny >/dev/null; then \
		echo "NOT CHECKED: licences, duplicates and advisories; 'cargo-deny' is missing" \
			"(cargo install --locked cargo-deny). Everything else was checked." >&2; \
		[ -z "$${CI:-}$${GITHUB_ACTIONS:-}" ] || exit 1; \
	else \
		checks="licenses bans sources"; \
		if [ "$${GITHUB_ACTIONS:-}" = true ]; then checks=; \
		elif $(CARGO) deny --log-level off fetch db >/dev/null 2>&1; then checks=; \
		else echo "NOT CHECKED: advisories, whose database cannot be fetched here." >&2; fi; \
		for manifest in $(manifests); do \
			$(CARGO) deny --locked --manifest-path "$$manifest" --config deny.toml check \
				--allow unmatched-skip --allow unnecessary-skip $$checks || exit 1; \
		done; \
	fi

.PHONY: lint-tools
lint-tools: ## What lint uses besides Rust: Prometheus's checker, schemas (needs Go, pip and npm).
	scripts/real-parts promtool check-jsonschema asyncapi-specs

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

# An image that is named is pulled; without a name, this checkout is built.
UP_FLAGS ?= $(if $(PIPELINE_IMAGE)$(shell grep -s '^PIPELINE_IMAGE=' .env),,--build)
# Shown by the metric build_info, in loadgen's reports and in the images' labels.
build bench compare up images: export BUILD_COMMIT = $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

.PHONY: up
up: ## All of docker-compose.yaml, waiting for health; prints the links (needs Docker).
	$(need_compose)
	docker compose up --detach --wait --wait-timeout 600 $(UP_FLAGS)
	@at() { docker compose port "$$1" "$$2"; }; \
	echo; \
	echo "  traces      http://$$(at jaeger 16686)/search?service=test-app"; \
	echo "  dashboard   http://$$(at grafana 3000)"; \
	echo "  alerts      http://$$(at prometheus 9090)/alerts"; \
	echo "  readiness   http://$$(at pipeline 8080)/readyz?verbose"; \
	echo "  latency     http://$$(at pipeline 8080)/latency"; \
	echo "  Kafka       $$(at kafka 9094)"; \
	echo; \
	echo "Send your own: OTEL_EXPORTER_OTLP_ENDPOINT=http://$$(at pipeline 4317)"

.PHONY: logs
logs: ## Follows the logs of what `make up` started.
	$(need_compose)
	docker compose logs --follow --tail 100

.PHONY: down
down: ## Ends what `make up` started; volumes stay.
	$(need_compose)
	docker compose --profile ui down
	@echo "Kept: the volumes of Kafka, Prometheus and Grafana" \
		"('docker compose down --volumes' removes them)."

.PHONY: images
images: ## The three images, and whether Docker understands the compose file (needs Docker).
	$(need_compose)
	docker compose --profile ui config --quiet
	docker build --target pipeline $(image_flags) --tag otel-event-pipeline:local .
	docker build --target loadgen $(image_flags) --tag otel-event-pipeline-loadgen:local .
	docker build --target test-app $(image_flags) --tag otel-event-pipeline-test-app:local .

image_flags = --build-arg BUILD_COMMIT

.PHONY: ci
ci: ## Every check that needs no Docker, with the minutes of each stage.
	@scripts/ci

.PHONY: clean-cache
clean-cache: ## Removes the real parts that test-real fetched and built.
	scripts/real-parts clean

# One build for every target that runs release binaries: asked for apart, cargo would choose
# features apart and compile the shared crates again.
release_build = $(CARGO) build --release --locked --workspace --bins --test real

# `--all-targets` passes over the tests that plain `cargo test` passes over: they are named.
define clippy
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --test real -- -D warnings
endef

manifests = Cargo.toml demo/Cargo.toml fuzz/Cargo.toml

# demo/ and fuzz/ are no members of the workspace: what changes a dependency must lock it there too.
define locks
	@for manifest in $(manifests); do \
		$(CARGO) metadata --locked --format-version 1 --manifest-path "$$manifest" >/dev/null \
			|| { echo "make $@: the lock file beside $$manifest is out of date" >&2; exit 1; }; \
	done
endef
