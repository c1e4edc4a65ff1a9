"""Sees to it that no file without a checksum is put together from two versions of it.

What the origin said of the file when its download began is kept, in memory and beside the partial, and compared
before a partial is continued and, where more than one answer of the origin made up the file, after the last byte.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import msgspec
import structlog
from msgspec import Struct

from node.failures import Verdict
from node.files import Store
from node.hands import Hands
from node.probe import Probed
from node.staging import CONTROL_NAME
from node.validators import (
    CHANGED_CODE,
    UNCONFIRMED_CODE,
    Judgement,
    Kept,
    Seen,
    address_key,
    changed,
    compare_all,
    why_not_resumed,
)
from schemas import codec
from schemas.request import Request
from schemas.task import FailureClass

log = structlog.get_logger()

VALIDATORS_NAME = "validators.json"
NOTICED_FOR_S = 10.0
"""A look that is older is taken anew before a download begins: it may have waited for a slot."""
AFTERWARDS_S = 10.0
"""For a second try of the look after the last byte: a whole file hangs on it."""
ASKED = ("http://", "https://")
"""FTP and SFTP origins tell nothing of their files."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Ask(Protocol):
    """Asks the addresses of a request about its file."""

    def __call__(self, request: Request, within_s: float = ...) -> Awaitable[dict[str, Probed]]:
        """What each said, by address."""


Refuses = Callable[[dict[str, Probed]], Verdict | None]
"""Why a download need not begin, by what its addresses said."""


class _State(Struct):
    """Of one task of this process."""

    kept: Kept | None = None
    """What this process began or continued it from."""
    kept_at: float = 0.0
    is_written: bool = False
    is_resumed: bool = False
    is_confirmed: bool = False
    """Compared with the origin when it was continued, and found the same."""


class Guard:
    """What is known of the downloads of one node."""

    def __init__(self, store: Store, hands: Hands, ask: Ask) -> None:
        self._store = store
        self._hands = hands
        self._ask = ask
        self._states: dict[str, _State] = {}
        self._boot = _boot_id()

    def __repr__(self) -> str:
        return f"<Guard of {len(self._states)} downloads>"

    def noticed(self, task: str, found: dict[str, Probed]) -> None:
        """What was seen just before a download of which nothing is staged."""
        self._begin(self._state(task), found)

    async def before(self, task: str, request: Request, refuses: Refuses, *, never_resume: bool) -> Verdict | None:
        """Wipe a partial that must not be continued, and keep what the file is begun from. Raises OSError.

        Where the origin is asked and `refuses`, nothing is judged by that, nor touched: its verdict is returned.
        """
        if request.checksum:
            return None
        state = self._state(task)
        on_disk, size = await self._hands.do(partial(self._read, task))
        if size or state.kept is None or anyio.current_time() - state.kept_at > NOTICED_FOR_S:
            asked = await self._ask(request)
            if verdict := refuses(asked):
                return verdict
            if size:
                await self._judge(task, asked, state, state.kept or on_disk, size, never_resume)
            else:
                self._begin(state, asked)
        if not size:
            state.is_resumed = False
        self.keep(task)
        return None

    async def _judge(
        self, task: str, asked: dict[str, Probed], state: _State, kept: Kept | None, size: int, never_resume: bool
    ) -> None:
        found = _seen(asked)
        why = why_not_resumed(kept, found, size=size, boot=self._boot)
        if never_resume:
            why = "the file changed while an earlier attempt downloaded it"
        if why is not None:
            log.info("a partial file is not continued", task=task, bytes=size, reason=why)
            await self._hands.do(partial(self._wipe, task))
            self._begin(state, asked)
            return
        assert kept is not None
        state.kept, state.is_resumed = kept, True
        state.is_confirmed = compare_all(kept.seen, found) is Judgement.SAME

    def _begin(self, state: _State, found: dict[str, Probed]) -> None:
        state.kept, state.kept_at = Kept(_seen(found), self._boot), anyio.current_time()
        state.is_written = state.is_resumed = False

    def has_doubts(self, task: str, request: Request, *, is_one_answer: bool) -> bool:
        """Whether the origin is to be asked once more about a whole file.

        `is_one_answer`: since it was added last, one connection alone was used, and once.
        """
        state = self._states.get(task)
        if request.checksum or state is None or state.kept is None:
            return False
        if not state.kept.seen:  # an origin that did not answer, or one that can't be asked
            return state.is_resumed and any(uri.lower().startswith(ASKED) for uri in request.uris)
        return state.is_resumed or not is_one_answer

    async def after(self, task: str, request: Request) -> Verdict | None:
        """What is wrong with a whole file about which there are doubts."""
        state = self._states[task]
        assert state.kept is not None
        found = _seen(await self._ask(request)) or _seen(await self._ask(request, AFTERWARDS_S))
        judged = compare_all(state.kept.seen, found)
        if judged is Judgement.CHANGED:
            return Verdict(FailureClass.DAMAGED, CHANGED_CODE, changed(state.kept.seen, found))
        if judged is Judgement.UNKNOWN and state.is_resumed and not state.is_confirmed:
            reason = "the origin did not say whether the file is still the one that the partial was begun from"
            return Verdict(FailureClass.DAMAGED, UNCONFIRMED_CODE, reason)
        return None

    def keep(self, task: str) -> None:
        """Write what a download is begun from beside its partial, within a second; after trouble it is not resumed."""
        state = self._states.get(task)
        if state is not None and state.kept is not None and not state.is_written:
            state.is_written = True
            self._hands.do_sometime(partial(self._write, task, state.kept))

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._states.pop(task, None)

    def _state(self, task: str) -> _State:
        return self._states.setdefault(task, _State())

    def _read(self, task: str) -> tuple[Kept | None, int]:
        """What is kept of a partial, and how many bytes it has."""
        try:
            size = self._store.data(task).stat().st_size
        except FileNotFoundError:
            return None, 0
        try:
            return codec.decode((self._store.staging(task) / VALIDATORS_NAME).read_bytes(), Kept), size
        except (OSError, msgspec.MsgspecError):
            return None, size

    def _write(self, task: str, kept: Kept) -> None:
        """All of it or nothing; not synced: after a power cut the partial beside it is not trusted either."""
        if task not in self._states:
            return  # it ended meanwhile, and what was staged of it may be gone
        folder = self._store.staging(task)
        scratch = folder / f"{VALIDATORS_NAME}.new"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(codec.encode(kept))
            scratch.replace(folder / VALIDATORS_NAME)
        except OSError as error:
            log.warning("what a partial was begun from is not kept", task=task, problem=str(error))

    def _wipe(self, task: str) -> None:
        folder = self._store.staging(task)
        for path in (self._store.data(task), folder / CONTROL_NAME, folder / VALIDATORS_NAME):
            path.unlink(missing_ok=True)


def _seen(found: dict[str, Probed]) -> dict[str, Seen]:
    """Of the addresses that would send the file."""
    return {address_key(uri): Seen(one.etag, one.last_modified, one.size) for uri, one in found.items() if one.is_file}


def _boot_id() -> str:
    """Which run of the system this is; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
