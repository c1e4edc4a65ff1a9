"""Live views in a real terminal: nothing wraps, nothing is left behind, nothing old poses as live."""

import os
import random
import re
import shlex
import signal
from contextlib import AbstractContextManager

import anyio
import pytest
from rich.cells import cell_len

from tests.conftest import required
from tests.harness.processes import COMMAND, Up, environment
from tests.harness.terminal import COLOUR, Terminal, has_tmux, terminal
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.skipif(not has_tmux() and not required("tmux"), reason="there is no tmux here")

SIZES = pytest.mark.parametrize("columns", [80, 200])
LONG = "a-rather-long-name-of-a-file-that-would-not-fit-into-a-narrow-window-by-itself"
SLOW = ("--option", "split=1", "--option", "max-download-limit=300K")
ROW = re.compile(r"^[0-9a-f]{16} .*\d+% .*/s$")


def open_terminal(
    cluster: Up, *arguments: str, columns: int = 80, rows: int = 24, **more: str
) -> AbstractContextManager[Terminal]:
    return terminal(
        [*COMMAND, *arguments],
        columns=columns,
        rows=rows,
        folder=cluster.folder,
        environment=environment() | {"TERM": "xterm-256color"} | more,
    )


async def start_slow(cluster: Up, origin: Origin, count: int, size: int = 20_000_000) -> list[str]:
    """Downloads that drip for a minute at least."""
    origin.files[LONG] = random.Random(1).randbytes(size)
    entries = "".join(f"{origin.url(f'slow/{LONG}')}\n  name={n}-{LONG}\n" for n in range(count))
    file = cluster.folder / "slow.txt"
    file.write_text(entries)
    done = await cluster.arun("submit", "--input-file", str(file), *SLOW)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


async def cancel(cluster: Up, tasks: list[str]) -> None:
    done = await cluster.arun("cancel", *tasks)
    assert done.returncode == 0, done.stdout + done.stderr


def rows_of(view: Terminal) -> list[str]:
    return [line for line in view.screen() if ROW.match(line)]


@SIZES
async def test_watch_shows_one_line_for_each_download_at_any_width(cluster: Up, origin: Origin, columns: int) -> None:
    tasks = await start_slow(cluster, origin, 4)
    with open_terminal(cluster, "watch", columns=columns) as view:
        await eventually(lambda: len(rows_of(view)) == 4, within_s=30, every_s=0.2, what="four rows")
        await view.shows("2 nodes")
        screen = view.screen()
        assert re.match(r"4 running, \d+ queued, 2 nodes, .*/s$", screen[0])
        assert screen[1].startswith("since ")
        assert len(screen) == 6
        assert all(cell_len(line) < columns for line in screen)
        assert sorted(line[:16] for line in screen[2:]) == sorted(tasks)
        await cancel(cluster, tasks)
        await view.shows("4 cancelled")
        await eventually(lambda: len(view.screen()) == 2, within_s=30, every_s=0.2, what="the ended ones went away")


async def test_watch_fits_a_small_window_and_one_that_is_made_smaller(cluster: Up, origin: Origin) -> None:
    tasks = await start_slow(cluster, origin, 6)
    with open_terminal(cluster, "watch", columns=120, rows=24) as view:
        await eventually(lambda: len(rows_of(view)) == 6, within_s=30, every_s=0.2, what="six rows")
        view.resize(60, 5)
        screen = await view.shows("… and 4 more")
        assert len(screen.split("\n")) == 5
        assert all(cell_len(line) < 60 for line in screen.split("\n"))
    await cancel(cluster, tasks)


async def test_watch_shows_only_the_tasks_or_tags_asked_for(cluster: Up, origin: Origin) -> None:
    tasks = await start_slow(cluster, origin, 2)
    tagged = (await cluster.arun("submit", origin.url(f"slow/{LONG}"), "--tag", "archive", *SLOW)).stdout.strip()
    with open_terminal(cluster, "watch", tasks[0]) as one, open_terminal(cluster, "watch", "--tag", "archive") as two:
        await eventually(lambda: [row[:16] for row in rows_of(one)] == [tasks[0]], within_s=30, every_s=0.2)
        await eventually(lambda: [row[:16] for row in rows_of(two)] == [tagged], within_s=30, every_s=0.2)
    await cancel(cluster, [*tasks, tagged])


async def test_ctrl_c_ends_watch_with_130_and_leaves_the_terminal_clean(cluster: Up) -> None:
    with open_terminal(cluster, "watch") as view:
        await view.shows(" nodes, ")
        view.press("C-c")
        assert await view.ended() == 130
        assert [line for line in view.screen() if line] == ["ended with 130"]
        assert (view.asks("cursor_flag"), view.asks("alternate_on")) == ("1", "0")


async def test_watch_goes_on_by_itself_after_a_broker_restart(cluster: Up, origin: Origin) -> None:
    tasks = await start_slow(cluster, origin, 2)
    with open_terminal(cluster, "watch") as view:
        await eventually(lambda: len(rows_of(view)) == 2, within_s=30, every_s=0.2, what="two rows")
        broker = cluster.pid("nats-server")
        os.kill(broker, signal.SIGSTOP)  # its clients find it silent, and nobody starts another
        try:
            await view.shows("broker away, reconnecting")
            assert rows_of(view) == [], "what is not known is not shown"
        finally:
            os.kill(broker, signal.SIGKILL)
        await eventually(lambda: len(rows_of(view)) == 2, within_s=60, every_s=0.2, what="two rows again")

        async def is_led() -> bool:
            return (await cluster.arun("stats")).returncode == 0

        await eventually(is_led, within_s=30, every_s=0.2, what="the nodes may be back before a leader is")
        await cancel(cluster, tasks)
        await view.shows("2 cancelled")


async def test_without_a_terminal_watch_prints_a_line_when_something_changes(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    async with await anyio.open_process([*COMMAND, "watch"], cwd=cluster.folder, env=environment()) as watching:
        assert watching.stdout is not None
        received = b""
        with anyio.fail_after(60):
            while b"running" not in received:
                received += await watching.stdout.receive()
            done = await cluster.arun("submit", origin.url("file/f"), "--wait")
            task = done.stdout.split()[0]
            while f"{task} completed".encode() not in received:
                received += await watching.stdout.receive()
            watching.send_signal(signal.SIGINT)
            assert await watching.wait() == 130
    lines = received.decode().splitlines()
    assert b"\x1b" not in received
    assert len(lines) == len(set(lines))


@SIZES
async def test_bars_of_many_never_wrap_and_leave_nothing_behind(cluster: Up, origin: Origin, columns: int) -> None:
    origin.files[LONG] = random.Random(1).randbytes(2_000_000)
    file = cluster.folder / "many.txt"
    file.write_text("".join(f"{origin.url(f'slow/{LONG}')}\n  split=1\n  out={n}-{LONG}\n" for n in range(14)))
    with open_terminal(cluster, "submit", "-i", str(file), "--wait", "--quiet", columns=columns) as view:
        await view.shows("% ", within_s=40)
        seen: list[list[str]] = []

        def is_over() -> bool:
            seen.append(view.screen())
            return any("ended with" in line for line in seen[-1])

        await eventually(is_over, within_s=60, every_s=0.2, what="the end")
        assert [line for line in view.screen() if line] == ["ended with 0"]
    drawn = [screen for screen in seen if any("/s" in line for line in screen)]
    assert drawn
    for screen in drawn:
        assert len(screen) <= 12
        assert all(cell_len(line) < columns for line in screen)
        bars = [line for line in screen[1:] if LONG[:5] in line]
        assert all(re.search(r"(/s|\w+ing)$", line) for line in bars), screen


async def test_one_download_has_one_bar_and_the_end_takes_its_place(cluster: Up, origin: Origin) -> None:
    origin.files[LONG] = random.Random(1).randbytes(4_000_000)
    with open_terminal(cluster, "submit", origin.url(f"slow/{LONG}"), "--wait", columns=80) as view:
        await view.shows("% ", within_s=40)
        assert len([line for line in view.screen() if line]) == 1
        assert await view.ended() == 0
        lines = [line for line in view.scrolled() if line]
    assert re.match(r"[0-9a-f]{16} completed node-\d:", lines[0])
    assert lines[1:] == ["ended with 0"]


async def test_ctrl_c_while_waiting_says_that_the_download_goes_on(cluster: Up, origin: Origin) -> None:
    origin.files[LONG] = random.Random(1).randbytes(20_000_000)
    with open_terminal(cluster, "submit", origin.url(f"slow/{LONG}"), "--wait", *SLOW) as view:
        await view.shows("% ", within_s=40)
        view.press("C-c")
        assert await view.ended() == 130
        text = view.text()
    assert "the download goes on" in text
    found = re.search(r"downdraft show ([0-9a-f]{16})", text)
    assert found is not None
    await cancel(cluster, [found[1]])


async def test_no_color_is_obeyed(cluster: Up, origin: Origin) -> None:
    tasks = await start_slow(cluster, origin, 1)
    with (
        open_terminal(cluster, "watch") as colourful,
        open_terminal(cluster, "watch", NO_COLOR="1") as plain,
    ):
        await eventually(lambda: rows_of(colourful) and rows_of(plain), within_s=30, every_s=0.2, what="a row in each")
        assert COLOUR.search(colourful.with_colours())
        assert not COLOUR.search(plain.with_colours())
    await cancel(cluster, tasks)


async def test_what_is_piped_holds_no_control_sequences(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    file = cluster.folder / "piped.txt"
    file.write_text(f"{origin.url('file/f')}\n{origin.url('file/missing')}\n")
    for arguments in (
        ("submit", "-i", str(file), "--wait"),
        ("submit", origin.url("file/f"), "--wait"),
        ("events", "--since", "1h"),
    ):
        done = await cluster.arun(*arguments)
        assert "\x1b" not in done.stdout + done.stderr
        assert done.stdout


async def test_what_goes_to_a_file_is_not_lost_to_the_bars_on_the_terminal(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = random.Random(1).randbytes(600_000)
    ids = cluster.folder / "ends.txt"
    file = cluster.folder / "twenty.txt"
    file.write_text("".join(f"{origin.url('slow/f')}\n  out=twenty-{n}\n  split=1\n" for n in range(20)))
    line = f"{shlex.join([*COMMAND, 'submit', '-i', str(file), '--wait', '--json'])} > {shlex.quote(str(ids))}"
    with terminal(
        ["sh", "-c", line], columns=80, rows=24, folder=cluster.folder, environment=environment() | {"TERM": "xterm"}
    ) as view:
        await view.shows("of 20 done", within_s=40)
        assert await view.ended() == 0
        assert [text for text in view.scrolled() if text][-2:] == [
            next(text for text in view.scrolled() if text.startswith("submitted 20, refused 0: 20 completed")),
            "ended with 0",
        ]
    written = ids.read_text()
    assert len(written.splitlines()) == 20
    assert "\x1b" not in written
