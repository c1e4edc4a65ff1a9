"""The web page: files that the build made, served from memory, compressed already."""

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any

from litestar import HttpMethod, Request, Response, Router, route
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from gateway.access import OPEN, SCOPE
from gateway.problems import ProblemError

INDEX = "index.html"
HASHED = "assets"
"""The folder of files whose names change with their contents."""
PATHS = ["/", "/favicon.svg", "/licences.txt", f"/{HASHED}/{{name:str}}"]
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Everything from this gateway, nothing written into the page itself."""
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
CODINGS = {"br": ".br", "gzip": ".gz"}
"""What files are compressed to beforehand, the best first."""
MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}
FOREVER = "public, max-age=31536000, immutable"
LOOK_AGAIN = "no-cache"
"""Kept, and asked for again each time: a new version is seen at once."""
NOT_BUILT = (
    "This gateway was installed without its web page (DOWNDRAFT_SKIP_UI was set): install it again without that. "
    "Everything can be done by the command `downdraft` and by HTTP, see /docs.\n"
)


class PageFile(Struct, frozen=True):
    """A file and its compressed copies, by coding; "" is the file itself."""

    bodies: dict[str, bytes]
    media_type: str
    tag: str
    is_hashed: bool


def read_files(folder: Traversable | None = None) -> dict[str, PageFile]:
    """What the page consists of, by name (`assets/index-C0FFEE.js`); nothing where it was not built."""
    root = folder if folder is not None else resources.files("gateway") / "page"
    bodies = dict(_bodies(root, "")) if root.is_dir() else {}
    copies = tuple(CODINGS.values())
    return {
        name: PageFile(
            bodies={"": body} | {coding: bodies[name + end] for coding, end in CODINGS.items() if name + end in bodies},
            media_type=MEDIA_TYPES[PurePosixPath(name).suffix],
            tag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            is_hashed=name.startswith(f"{HASHED}/"),
        )
        for name, body in bodies.items()
        if not name.endswith(copies)
    }


def _bodies(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        found += (
            _bodies(entry, f"{prefix}{entry.name}/") if entry.is_dir() else [(prefix + entry.name, entry.read_bytes())]
        )
    return found


def page(files: dict[str, PageFile]) -> Router:
    """The routes of these files."""

    @route(PATHS, http_method=[HttpMethod.GET, HttpMethod.HEAD])
    async def page_file(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The web page, and what it is made of."""
        name = request.url.path.lstrip("/") or INDEX
        if (file := files.get(name)) is None:
            if name == INDEX:
                return Response(NOT_BUILT.encode(), status_code=404, media_type="text/plain")
            raise ProblemError(404, f"there is no file {name[:200]!r} of the page")
        return answer(file, request.headers.get("accept-encoding", ""), request.headers.get("if-none-match", ""))

    handlers: list[HTTPRouteHandler] = [page_file]
    return Router("/", route_handlers=handlers, opt={SCOPE: OPEN}, include_in_schema=False)


def answer(file: PageFile, accepted: str, known: str) -> Response[bytes]:
    """A file as a browser can read it, or 304 where it has it. Pure."""
    coding = coding_for(accepted, file.bodies)
    tag = f'{file.tag[:-1]}-{coding}"' if coding else file.tag
    headers = HEADERS | {
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "Cache-Control": FOREVER if file.is_hashed else LOOK_AGAIN,
    }
    if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(b"", status_code=304, headers=headers, media_type=file.media_type)
    if coding:
        headers |= {"Content-Encoding": coding}
    return Response(file.bodies[coding], headers=headers, media_type=file.media_type)


def coding_for(accepted: str, bodies: dict[str, bytes]) -> str:
    """The best coding of those that a client accepts and we have (RFC 9110, 12.5.3); "" for none. Pure."""
    wanted: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        quality = parameters.strip().removeprefix("q=").strip()
        wanted[name.strip()] = quality.strip("0.") != "" or not quality
    rest = wanted.get("*", False)
    return next((coding for coding in CODINGS if coding in bodies and wanted.get(coding, rest)), "")
