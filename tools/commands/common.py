"""What commands share: their common options, and running a piece of work against the cluster."""

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

Server = Annotated[
    str | None,
    typer.Option(
        "--server", "-s", help="NATS servers of the cluster; default: DOWNDRAFT_NATS_URL, else the nearest up.json."
    ),
]
Creds = Annotated[
    str | None, typer.Option("--creds", help="Credentials file; default: DOWNDRAFT_NATS_CREDS, else up.json's.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON (one object a line for lists) instead of text.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default: downdraft.toml in this folder, if any.")
]
Pulse = Annotated[
    Path | None, typer.Option(help="Touch this file every second in which the process gets on, for health checks.")
]
Ids = Annotated[list[str], typer.Argument(metavar="TASK…", help="Task ids: 16 hex digits, as `downdraft ls` shows.")]


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run async work to its end. Interrupted by SIGINT or SIGTERM it ends in order, with exit code 130 or 143."""
    import signal

    import anyio

    told = signal.SIGINT

    def terminated(*_: object) -> None:
        nonlocal told
        told = signal.SIGTERM
        signal.raise_signal(signal.SIGINT)  # the one for which asyncio cancels the work instead of cutting it off

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(128 + told) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def with_client(server: str | None, creds: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work` with a connected `broker.cluster.Client`."""
    from broker.cluster import open_client
    from schemas.settings import LogSettings
    from tools.context import locate
    from tools.logs import configure

    configure(LogSettings(level="error"))
    url, file = locate(server, creds)

    async def connected() -> T:
        async with open_client(url, file) as client:
            return await work(client)

    return run(connected)


def rate_of(typed: str | None, flag: str, *, least: int = 1) -> int | None:
    """Bytes a second as typed, 0 for `none`; None where nothing was. Raises typer.BadParameter."""
    from schemas.options import SPEED_MAX
    from schemas.sizes import parse_size

    if typed is None:
        return None
    if typed == "none":
        return 0
    try:
        rate = parse_size(typed.removesuffix("/s"))
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or none", param_hint=flag) from error
    if not least <= rate <= SPEED_MAX:
        told = f"{least // 1024}K to 2047M" if least > 1 else "below 2048M"
        raise typer.BadParameter(f"write a rate {told}, or none", param_hint=flag)
    return rate
