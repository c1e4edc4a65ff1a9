"""The processes: `up`, `coordinator`, `node`, `gateway`, and `keys` to make credentials."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.commands.common import Config, Creds, Json, Pulse, Server, run

if TYPE_CHECKING:
    from schemas.settings import Settings


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Processes")(up)
    app.command(rich_help_panel="Processes")(down)
    app.command(rich_help_panel="Processes")(coordinator)
    app.command(rich_help_panel="Processes")(node)
    app.command(rich_help_panel="Processes")(gateway)
    app.command(rich_help_panel="Processes")(keys)
    app.command(rich_help_panel="Processes")(demo)


def up(
    nodes: Annotated[int, typer.Option(min=0, max=64, help="How many nodes to run.")] = 2,
    data: Annotated[Path, typer.Option(help="Where the broker, keys, logs and node state live.")] = Path(
        "downdraft-data"
    ),
    downloads: Annotated[Path, typer.Option(help="Finished files: node i puts its own in <downloads>/node-i.")] = Path(
        "downloads"
    ),
    nats_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the broker; 0: any free one.")] = 4222,
    gateway_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the HTTP gateway; 0: any free one; default: gateway.port, 8080."),
    ] = None,
    with_gateway: Annotated[
        bool, typer.Option("--gateway/--no-gateway", help="Run the HTTP gateway too, or leave it out.")
    ] = True,
    slots: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Downloads each node runs at once; default: node.slots, 8.")
    ] = None,
    coordinators: Annotated[int, typer.Option(min=1, max=9, help="One leads, the others stand by.")] = 1,
    node_tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE:TAG", help="Give a node a tag, for example node-2:ssd. Repeatable."),
    ] = None,
    allow_net: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Loopback or link-local network to download from all the same. Repeatable."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running in the background, once it is ready.")
    ] = False,
    config: Config = None,
) -> None:
    """Run a whole cluster on this machine until Ctrl-C: nats-server, coordinator, nodes, HTTP gateway.

    When it is ready it writes `<data>/up.json`, by which every other command finds it. Ctrl-C ends it in order;
    a second one kills what is left. With --detach it is `downdraft down` that ends it.

    Examples:

        downdraft up

        downdraft up --detach

        downdraft up --nodes 4 --slots 16 --nats-port 0

        downdraft up --node-tag node-2:ssd --allow-net 127.0.0.0/8
    """
    from schemas.settings import LogSettings
    from tools.cluster import ClusterPlan
    from tools.context import load_settings
    from tools.logs import configure
    from tools.up import detach as go_to_background
    from tools.up import serve, until_up

    configure(LogSettings(level="warning"))
    settings = load_settings(config).settings
    port = settings.gateway.port if gateway_port is None else gateway_port
    plan = ClusterPlan(
        data=data,
        downloads=downloads,
        nodes=nodes,
        coordinators=coordinators,
        slots=slots or settings.node.slots,
        nats_port=nats_port,
        gateway_host=settings.gateway.host,
        gateway_port=port if with_gateway else None,
        nats_binary=settings.nats.server_binary,
        sync_interval=settings.broker.sync_interval,
        allow_nets=tuple(allow_net or settings.node.allow_nets),
        tags=settings.node.tags,
        node_tags=_tags_by_node(node_tag or []),
        config=config,
    )
    background = go_to_background(data) if detach else None
    raise typer.Exit(run(lambda: until_up(background, data) if background else serve(plan)))


def down(
    data: Annotated[
        Path | None, typer.Option(help="Folder of the cluster to end; default: that of the nearest up.json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """End the cluster that `downdraft up` runs on this machine. Exits 1 if none runs.

    Nodes give back what they hold first, the broker ends last. What a killed `up` left running is ended too.

    Examples:

        downdraft down

        downdraft down --data downdraft-data --json
    """
    from schemas.settings import LogSettings
    from tools.context import DATA_FOLDER, find_up_file
    from tools.down import bring_down
    from tools.logs import configure

    configure(LogSettings(level="error"))
    if data is None:
        found = find_up_file(Path.cwd())
        data = found[0].parent if found else Path(DATA_FOLDER)
    folder = data
    if not run(lambda: bring_down(folder, as_json=as_json)):
        raise typer.Exit(1)


def coordinator(
    server: Server = None,
    creds: Creds = None,
    config: Config = None,
    name: Annotated[str, typer.Option(help="Name in logs and events; default: made up.")] = "",
    pulse: Pulse = None,
) -> None:
    """Run a coordinator: it leads if none does, else it stands by.

    Example:

        downdraft coordinator --server nats://broker:4222 --creds keys/coordinator.creds
    """
    from coordinator.main import run_coordinator
    from tools.context import load_settings
    from tools.logs import configure
    from tools.signals import until_told

    settings = load_settings(config, {"nats.url": server, "nats.creds": creds}).settings
    configure(settings.log, process="coordinator")
    run(lambda: until_told(run_coordinator, settings, name, pulse))


def node(
    server: Server = None,
    creds: Creds = None,
    config: Config = None,
    node_id: Annotated[str | None, typer.Option("--id", help="This node's id: a-z, 0-9 and '-'.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=1024, help="Downloads to run at once.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Tag that requests can ask for. Repeatable.")] = None,
    downloads: Annotated[str | None, typer.Option(help="Folder for finished files.")] = None,
    state: Annotated[str | None, typer.Option(help="Folder for this node's own state.")] = None,
    disk: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the download folder may grow to in all, such as 200G.")
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What this machine's line brings in a second, such as 20M.")
    ] = None,
    capability: Annotated[
        list[str] | None,
        typer.Option(
            "--capability", help="Take only this: http, ftp, sftp, torrent, metalink. Repeatable; default: all."
        ),
    ] = None,
    allow_net: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Loopback or link-local network to download from all the same. Repeatable."),
    ] = None,
    one_of: Annotated[
        Path | None,
        typer.Option(
            metavar="KEYS",
            help="Run as the first node with credentials in this folder that does not run on this machine yet; "
            "with sub-folders of its own.",
        ),
    ] = None,
    pulse: Pulse = None,
) -> None:
    """Run a node: it takes the tasks placed on it and drives aria2c.

    Examples:

        downdraft node --id attic --server nats://broker:4222 --creds keys/node-attic.creds --tag ssd

        downdraft node --one-of keys --server nats://broker:4222 --downloads /srv/downloads --state /var/lib/downdraft
    """
    from node.main import run_node
    from tools.context import load_settings
    from tools.logs import configure
    from tools.replica import as_replica
    from tools.signals import told_to_stop

    flags: dict[str, Any] = {
        "nats.url": server,
        "nats.creds": creds,
        "node.id": node_id,
        "node.slots": slots,
        "node.tags": tag or None,
        "node.downloads": downloads,
        "node.state": state,
        "node.disk": disk,
        "node.bandwidth": bandwidth,
        "node.capabilities": capability or None,
        "node.allow_nets": allow_net or None,
    }
    if one_of and (node_id or creds):
        raise typer.BadParameter("it chooses --id and --creds by itself: leave those out", param_hint="--one-of")
    loaded = load_settings(config, flags).settings

    async def serve(settings: "Settings") -> None:
        async with told_to_stop() as told:
            await run_node(settings, told, pulse)

    with as_replica(one_of, loaded, lambda more: load_settings(config, flags | more).settings) as settings:
        configure(settings.log, process="node", node=settings.node.id)
        run(lambda: serve(settings))


def gateway(
    server: Server = None,
    creds: Creds = None,
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; default: gateway.host, 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one; default: gateway.port, 8080.")
    ] = None,
) -> None:
    """Run an HTTP gateway: REST, live events, and the whole cluster as one aria2. Any number may run.

    Example:

        downdraft gateway --server nats://broker:4222 --creds keys/gateway.creds --port 8080
    """
    from gateway.main import run_gateway
    from tools.context import load_settings
    from tools.logs import configure
    from tools.signals import told_to_stop

    flags = {"nats.url": server, "nats.creds": creds, "gateway.host": host, "gateway.port": port}
    settings = load_settings(config, flags).settings
    configure(settings.log, process="gateway")

    async def serve() -> None:
        async with told_to_stop() as told:
            await run_gateway(settings, told)

    run(serve)


def keys(
    folder: Annotated[Path, typer.Option(help="Folder of the cluster's keys; made if missing.")] = Path("keys"),
    node: Annotated[list[str] | None, typer.Option(help="Make credentials for this node id. Repeatable.")] = None,
    owner: Annotated[list[str] | None, typer.Option(help="Make credentials for this producer. Repeatable.")] = None,
    leaf: Annotated[
        str | None,
        typer.Option(
            metavar="DOMAIN", help="Make files for a site's nats-server, a leaf node of this JetStream domain."
        ),
    ] = None,
) -> None:
    """Make a cluster's keys and credentials, and the gateway's first API key; what exists is kept.

    The broker includes `auth.conf` from there and needs nothing else. Keep `keys.json` to yourself: it can
    make credentials for every role.

    Examples:

        downdraft keys --folder keys --node attic --node cellar --owner team-a

        downdraft keys --folder keys --node cabin-1 --node cabin-2 --leaf hub
    """
    from broker.credentials import Keyring
    from broker.roles import Role
    from schemas.ids import DEFAULT_OWNER
    from tools.firstkey import first_key

    keyring = Keyring(folder)
    keyring.ensure()
    made = [keyring.auth_conf, first_key(folder)]
    made += [keyring.credentials(role, str(role)) for role in Role if role not in (Role.NODE, Role.PRODUCER)]
    made += [keyring.credentials(Role.PRODUCER, name) for name in [DEFAULT_OWNER, *(owner or [])]]
    made += [keyring.credentials(Role.NODE, name) for name in node or []]
    made += keyring.leaf(leaf) if leaf is not None else []
    for file in made:
        typer.echo(file)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Run there and keep everything; default: a folder deleted afterwards.")
    ] = None,
    corrupt: Annotated[bool, typer.Option(hidden=True, help="Spoil one file, to see that the demo notices.")] = False,
    small: Annotated[bool, typer.Option(hidden=True, help="Make the large file 16 MiB, for tests.")] = False,
) -> None:
    """Show the main job: a cluster of two nodes downloads 24 real files and one that is missing.

    Example:

        downdraft demo
    """
    from schemas.settings import LogSettings
    from tools.demo import run_demo
    from tools.logs import configure

    configure(LogSettings(level="error"))
    raise typer.Exit(run(lambda: run_demo(data, corrupt=corrupt, small=small)))


def _tags_by_node(pairs: list[str]) -> dict[str, tuple[str, ...]]:
    tags: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        node, _, tag = pair.partition(":")
        if not tag:
            raise typer.BadParameter(f"{pair!r}: write NODE:TAG, for example node-2:ssd", param_hint="--node-tag")
        tags[node] = (*tags.get(node, ()), tag)
    return tags
