# Run once and again before everything else: makes what is missing, and gives each process its own files and no other.
set -eu
umask 077

set --
for number in $(seq "$NODES_MAX"); do
    set -- "$@" --node "node-$number"
done
downdraft keys --folder /keys "$@" > /dev/null

install -m 400 /keys/auth.conf /for/broker/
install -m 400 /keys/coordinator.creds /for/coordinator/
install -m 400 /keys/node-node-*.creds /for/nodes/
install -m 400 /keys/gateway.creds /keys/api.key /for/gateway/
install -m 400 /keys/operator.creds /for/operator/

# One broker, unless make-cluster.sh says otherwise, this time or once before.
[ -e /for/broker/cluster.conf ] || : > /for/broker/cluster.conf
[ -e /for/settings/downdraft.toml ] || printf '[nats]\nurl = "nats://nats:4222"\n' > /for/settings/downdraft.toml
chmod 444 /for/settings/downdraft.toml
