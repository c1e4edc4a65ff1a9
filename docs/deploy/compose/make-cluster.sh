# Profile `cluster`: the broker is one of three, and each stream has three copies.
set -eu
umask 077

[ ! -s /for/broker/cluster.conf ] || exit 0
if [ -e /data/jetstream ]; then
    echo 'The broker of this deployment has run alone, and its streams would not come along: back them up, begin with' \
        'new volumes, and restore them (docs/operations.md).' >&2
    exit 1
fi

password=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
cat > /for/broker/cluster.conf.part <<CONF
cluster {
  name: downdraft
  listen: "0.0.0.0:6222"
  # Clients use the names that they were given: addresses inside this network mean nothing outside.
  no_advertise: true
  authorization { user: broker, password: "$password" }
  routes: [
    "nats://broker:$password@nats:6222"
    "nats://broker:$password@nats-2:6222"
    "nats://broker:$password@nats-3:6222"
  ]
}
CONF
cat > /for/settings/downdraft.toml.part <<TOML
[nats]
url = "nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222"

[broker]
replicas = 3
TOML
chmod 444 /for/settings/downdraft.toml.part
mv /for/settings/downdraft.toml.part /for/settings/downdraft.toml
mv /for/broker/cluster.conf.part /for/broker/cluster.conf
