# Every process of a cluster but the broker: the same image runs as coordinator, node or command line.
# The two stages use the same base, so that the environment made in the first works in the second.

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# First what changes seldom.
COPY requirements-runtime.lock ./
RUN python -m venv /opt/downdraft \
    && /opt/downdraft/bin/pip install --require-hashes -r requirements-runtime.lock

COPY . .
RUN pip wheel --no-deps --wheel-dir /dist . \
    && /opt/downdraft/bin/pip install --no-deps --no-index /dist/*.whl


FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="Downdraft" org.opencontainers.image.licenses="MIT"

# The folders exist so that volumes mounted there belong to the user.
RUN groupadd --gid 10001 downdraft \
    && useradd --uid 10001 --gid downdraft --home-dir /var/lib/downdraft --no-create-home downdraft \
    && install -d -o downdraft -g downdraft /var/lib/downdraft /downloads

COPY --from=build /opt/downdraft /opt/downdraft
ENV PATH=/opt/downdraft/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DOWNDRAFT_NODE_DOWNLOADS=/downloads \
    DOWNDRAFT_NODE_STATE=/var/lib/downdraft

USER downdraft
WORKDIR /var/lib/downdraft
ENTRYPOINT ["downdraft"]
CMD ["--help"]
