# syntax=docker/dockerfile:1

# Three services and the command line, each an image of its own that holds only what it links:
#   docker build --target ticker -t escapement-ticker:dev .
# Build and runtime stand on the same Debian release, because a binary asks for the C library it was built with.
# checkov:skip=CKV_DOCKER_7: The tags stand in the two arguments, which the check does not look up.
ARG SWIFT_IMAGE=swift:6.3-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${SWIFT_IMAGE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libpq-dev librdkafka-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libjemalloc-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies first: they change less often than the sources. They lie in the same cache that the build uses.
COPY Package.swift Package.resolved* ./
RUN --mount=type=cache,target=/src/.build,sharing=locked swift package resolve
COPY . .
RUN --mount=type=cache,target=/src/.build,sharing=locked <<'BUILD'
set -eu
mkdir -p /out
for product in escapement-coordinator escapement-ticker escapement-dispatcher escapement; do
    swift build -c release --static-swift-stdlib --product "$product"
    install -s "$(swift build -c release --show-bin-path)/$product" "/out/$product"
done
BUILD

# What every image has: time zones, authorities, a user without rights.
FROM ${RUNTIME_IMAGE} AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libcurl4 libgcc-s1 libssl3 libstdc++6 tzdata zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 escapement \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir / --shell /usr/sbin/nologin escapement
ARG VERSION=0.1.0
ARG REVISION=unknown
ENV ESCAPEMENT_REVISION=${REVISION} ESCAPEMENT_LOG_FORMAT=json
LABEL org.opencontainers.image.title="Escapement" \
      org.opencontainers.image.description="Schedules and delayed actions, fired on time, once, into Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
STOPSIGNAL SIGTERM

FROM runtime AS coordinator
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/escapement-coordinator /usr/local/bin/
USER 65532:65532
EXPOSE 7400 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["escapement-coordinator", "health", "--ready"]
ENTRYPOINT ["escapement-coordinator"]

FROM runtime AS ticker
COPY --from=build /out/escapement-ticker /usr/local/bin/
USER 65532:65532
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["escapement-ticker", "health", "--ready"]
ENTRYPOINT ["escapement-ticker"]

FROM runtime AS dispatcher
RUN apt-get update \
    && apt-get install -y --no-install-recommends libjemalloc2 librdkafka1 libsasl2-modules \
        libsasl2-modules-gssapi-mit krb5-user \
    && chmod u-s /usr/bin/ksu \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/escapement-dispatcher /usr/local/bin/
USER 65532:65532
EXPOSE 7400 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["escapement-dispatcher", "health", "--ready"]
ENTRYPOINT ["escapement-dispatcher"]

# The command line: migrations, administration, one-off jobs. The last stage, so what a plain build gives.
FROM runtime AS cli
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 librdkafka1 libsasl2-modules \
        libsasl2-modules-gssapi-mit krb5-user \
    && chmod u-s /usr/bin/ksu \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/escapement /usr/local/bin/
USER 65532:65532
HEALTHCHECK NONE
ENTRYPOINT ["escapement"]
CMD ["--help"]
