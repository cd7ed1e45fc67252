# syntax=docker/dockerfile:1
# Three images from one file: --target pipeline (the default), loadgen, test-app.

# The version of rust-toolchain.toml.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-trixie AS build
ARG RUST_VERSION
# librdkafka and OpenSSL (feature kafka-tls) are compiled from source.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The image's compiler, without the components that only developing needs; and programs without
# debug information, which would be two thirds of their size.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION} \
    CARGO_PROFILE_RELEASE_DEBUG=false \
    PROGRAMS="-p otel-event-pipeline -p loadgen -p test-app" \
    FEATURES=otel-event-pipeline/kafka-tls,loadgen/kafka

# The dependencies, compiled for empty programs: this layer holds until a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY loadgen/Cargo.toml loadgen/
COPY examples/test-app/Cargo.toml examples/test-app/
# Members that test and measure; cargo wants to know them, and nothing builds them here.
COPY benches/compare/Cargo.toml benches/compare/
COPY testbed/Cargo.toml testbed/
COPY torture/Cargo.toml torture/
RUN mkdir src loadgen/src examples/test-app/src testbed/src torture/src \
    && touch src/lib.rs testbed/src/lib.rs \
    && for program in src loadgen/src examples/test-app/src torture/src; do \
        echo 'fn main() {}' >"$program/main.rs"; done \
    && cargo build --release --locked $PROGRAMS --bins --features "$FEATURES" \
    && cargo clean --release --locked $PROGRAMS

# src/lib.rs takes its documentation from docs/.
COPY docs docs
COPY src src
COPY loadgen/src loadgen/src
COPY examples/test-app/src examples/test-app/src
# Shown by the metric build_info.
ARG BUILD_COMMIT=unknown
RUN BUILD_COMMIT="$BUILD_COMMIT" \
    cargo build --release --locked $PROGRAMS --bins --features "$FEATURES"

# A C runtime and certificates; no shell, no package manager. Nothing here writes files, so every
# image runs with a read-only root file system.
FROM gcr.io/distroless/cc-debian13:nonroot AS runtime
ARG BUILD_COMMIT=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.revision="${BUILD_COMMIT}"
# Kubernetes sees only of a number that it is not root.
USER 65532:65532

FROM runtime AS loadgen
LABEL org.opencontainers.image.title="loadgen" \
    org.opencontainers.image.description="Load, ledger and sink for any OTLP trace receiver"
COPY --from=build /build/target/release/loadgen /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/loadgen"]

FROM runtime AS test-app
LABEL org.opencontainers.image.title="test-app" \
    org.opencontainers.image.description="A trace every two seconds from the OpenTelemetry SDK"
COPY --from=build /build/target/release/test-app /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/test-app"]

FROM runtime AS pipeline
LABEL org.opencontainers.image.title="otel-event-pipeline" \
    org.opencontainers.image.description="OpenTelemetry traces through Kafka, from OTLP to OTLP"
COPY --from=build /build/target/release/otel-event-pipeline /usr/local/bin/
ENV LISTEN_ADDRESS=0.0.0.0
EXPOSE 4317 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/otel-event-pipeline", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/otel-event-pipeline"]
