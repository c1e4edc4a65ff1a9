"""Tasks whose address leads to a metalink, or that carry one: which files they are of, from where each comes."""

import hashlib
from functools import partial
from pathlib import PurePosixPath

from msgspec.structs import replace
from yarl import URL

from broker.payloads import is_fixed
from node.asking import Asker
from node.failures import Verdict
from node.files import Store
from node.hands import Hands
from node.metalink import METALINK_BYTES_MAX, BadMetalink, LinkedFile, read_metalink, selected
from node.parts import Part, Parts, kept_parts
from node.payloads import FetchObject, given_payload
from node.probe import same_origin
from node.trees import safe_name, safe_paths
from schemas.options import SECRET
from schemas.payload import Kind
from schemas.request import Request, file_name
from schemas.task import FailureClass

SELECT = "select-file"
_ENDINGS = (".meta4", ".metalink")
_NAMELESS = "metalink"


class Metalinks:
    """The metalinks of one node's tasks."""

    def __init__(self, store: Store, hands: Hands, asker: Asker, fetch_object: FetchObject) -> None:
        self._store = store
        self._hands = hands
        self._asker = asker
        self._fetch_object = fetch_object
        self._parts: dict[str, Parts] = {}

    def __repr__(self) -> str:
        return f"<Metalinks of {len(self._parts)} tasks>"

    async def open(self, task: str, request: Request) -> Parts | Verdict:
        """Fetch and read the metalink of a task, and find what is whole of it. Raises OSError."""
        content = await self._content(request)
        if isinstance(content, Verdict):
            return content
        try:
            # Of megabytes: beside what the node does meanwhile.
            parts, name = await self._hands.do(partial(plan, request, content))
        except BadMetalink as error:
            return Verdict(FailureClass.PERMANENT, "metalink", f"the metalink can't be used: {error}")
        whole = await self._hands.do(partial(kept_parts, self._store, task, parts))
        self._parts[task] = opened = Parts(name, parts, whole)
        return opened

    def of(self, task: str) -> Parts | None:
        return self._parts.get(task)

    def name(self, task: str, request: Request) -> str:
        """Of its file or folder; while the metalink was not read, as its address or its request calls it."""
        parts = self._parts.get(task)
        return parts.name if parts else _title(request)

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._parts.pop(task, None)

    async def _content(self, request: Request) -> bytes | Verdict:
        if request.metalink is not None:
            return await given_payload("metalink", request.metalink, self._fetch_object)
        content, verdict = await self._asker.fetch(request, METALINK_BYTES_MAX)
        return verdict or content


def plan(request: Request, content: bytes) -> tuple[list[Part], str]:
    """What is to be downloaded, and the name of the file, or of the folder of several. Raises BadMetalink."""
    files = read_metalink(content)
    picked = selected(len(files), str(request.options.get(SELECT, "")))
    # Named before some are picked: another choice must not give a file another name.
    paths = safe_paths([one.name for one in files])
    for index in picked:
        if not files[index].uris:
            raise BadMetalink(f"file {index + 1}, {files[index].name[:100]!r}, has no address that can be used")
    whole = hashlib.sha256(content).hexdigest()
    parts = [_part(request, files[index], paths[index].as_posix(), whole) for index in picked]
    if len(parts) == 1:
        alone = parts[0].request
        size = alone.size if request.size is None else request.size
        parts = [replace(parts[0], request=replace(alone, size=size))]
        return parts, PurePosixPath(parts[0].path).name
    if request.size is not None and None not in (sizes := [files[index].size for index in picked]):
        told = sum(size for size in sizes if size is not None)
        if told != request.size:
            raise BadMetalink(f"its files have {told} bytes together, the request says {request.size}")
    return parts, _title(request)


def _part(request: Request, file: LinkedFile, path: str, metalink: str) -> Part:
    # Without a digest a part is known by the very metalink alone.
    known_by = (path, str(file.size), file.checksum or metalink)
    is_named_by_request = request.metalink is not None and is_fixed(request.metalink)
    is_at_origin = bool(request.uris) and all(_is_beside(request.uris[0], uri) for uri in file.uris)
    asks_as_told = is_named_by_request or is_at_origin
    options = {
        name: value
        for name, value in request.options.items()
        if name != SELECT and (asks_as_told or name not in SECRET)
    }
    asked = replace(
        request,
        uris=file.uris,
        kind=Kind.FILE,
        metalink=None,
        checksum=file.checksum,
        size=file.size,
        options=options,
        # What is meant for the metalink's origin is not for whomever the metalink names.
        headers=request.headers if asks_as_told else {},
    )
    return Part(path, hashlib.sha256("\0".join(known_by).encode()).hexdigest()[:32], asked)


def _is_beside(metalink: str, mirror: str) -> bool:
    try:
        return same_origin(URL(metalink, encoded=True), URL(mirror, encoded=True))
    except ValueError:
        return False


def _title(request: Request) -> str:
    name = file_name(request.uris[0]) if request.uris else request.name or _NAMELESS
    for ending in _ENDINGS:
        name = name[: -len(ending)] if name.lower().endswith(ending) and len(name) > len(ending) else name
    return safe_name(name)
