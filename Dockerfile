# askance on a small base, for an ordinary user. `docker build -t askance .`; docs/containers.md says how to run it.
#
# Any base will do that has a shell and apt, or CA certificates already: the executable needs no library of it when
# it is built for musl, as here.
ARG BASE=debian:bookworm-slim
ARG BUILDER=rust:1-slim-bookworm
# `build` compiles in the builder; `prebuilt` takes EXECUTABLE from the build context.
ARG SOURCE=build

FROM ${BUILDER} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev musl-tools \
    && rustup target add x86_64-unknown-linux-musl
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY policies policies
COPY src src
# The manifest names one of them.
COPY tests tests
RUN cargo build --release --locked --bin askance --target x86_64-unknown-linux-musl \
    && cp target/x86_64-unknown-linux-musl/release/askance /askance

FROM scratch AS prebuilt
ARG EXECUTABLE=askance
COPY ${EXECUTABLE} /askance

FROM ${SOURCE} AS executable

FROM ${BASE}
RUN [ -e /etc/ssl/certs/ca-certificates.crt ] || { \
        apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*; } \
    && mkdir -p /work /home/askance && chown 10001:10001 /work /home/askance
COPY --from=executable /askance /usr/local/bin/askance
ENV HOME=/home/askance
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["askance"]
CMD ["doctor"]
