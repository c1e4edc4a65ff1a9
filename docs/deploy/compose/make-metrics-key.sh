# Profile `observability`: an API key that may only read, for Prometheus, and a password for Grafana's `admin`.
set -eu

if [ ! -s /for/metrics/metrics.key ]; then
    downdraft key create --scope read --note prometheus > /for/metrics/metrics.key.part
    chmod 444 /for/metrics/metrics.key.part
    mv /for/metrics/metrics.key.part /for/metrics/metrics.key
fi
if [ ! -s /for/grafana/password ]; then
    python -c 'import secrets; print(secrets.token_urlsafe(16), end="")' > /for/grafana/password.part
    chmod 444 /for/grafana/password.part
    mv /for/grafana/password.part /for/grafana/password
fi
