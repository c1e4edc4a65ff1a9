"""`downdraft up` in the foreground: start, say how to use it, wait for Ctrl-C."""

from rich.console import Console

from broker.roles import Role
from tools.cluster import Cluster, ClusterPlan, running_cluster
from tools.signals import told_to_stop


async def serve(plan: ClusterPlan) -> None:
    """Run the cluster until told to stop; told twice, end at once."""
    console = Console()
    status = console.status("starting nats-server, coordinator and nodes …")
    with status:
        # Not by cancelling: the processes are to end in their order, nodes first.
        async with told_to_stop() as told, running_cluster(plan) as cluster:
            status.stop()
            _say(console, cluster)
            await told.wait()
            console.print("\nstopping: nodes give back what they hold …", style="dim")
    console.print("all processes ended", style="dim")


def _say(console: Console, cluster: Cluster) -> None:
    creds = cluster.creds(Role.PRODUCER).resolve()
    request = '{"uris":["https://example.org/file"]}'
    nodes = ", ".join(cluster.node_names()) or "none"
    console.print(f"[green]ready[/green]  broker {cluster.url} · nodes {nodes} · logs in {cluster.plan.data / 'logs'}")
    console.print("\nsubmit with this command, or with NATS itself:")
    console.print("  downdraft submit https://example.org/file --wait", style="bold", highlight=False, soft_wrap=True)
    console.print(
        f"  nats --server {cluster.url} --creds {creds} pub downloads.requests '{request}'",
        style="bold",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    console.print("\nCtrl-C ends everything.", style="dim")
    console.file.flush()  # it may be a pipe or a file that somebody reads for this
