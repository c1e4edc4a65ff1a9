"""Where a client of aria2 wants a file: its folders and names as paths below a node's download folder. Pure."""

import re

from gateway.aria2rpc.defaults import FOLDER
from gateway.aria2rpc.errors import bad_option

_DRIVE = re.compile(r"[A-Za-z]:")


def folder_of(path: str) -> str | None:
    """The sub-folder that a client's `dir` means: below FOLDER, or below its root where it names another place."""
    return "/".join(_parts("dir", path)) or None


def name_of(path: str, folder: str | None) -> str | None:
    """The path below `folder` that a client's `out` means; one that names a place in FOLDER is taken at its word."""
    parts = _parts("out", path)
    inner = folder.split("/") if folder else []
    if path.startswith(f"{FOLDER}/") and inner and parts[: len(inner)] == inner:
        parts = parts[len(inner) :]
    return "/".join(parts) or None


def literal(path: str | None) -> str | None:
    """As a request writes it: in templates braces are doubled."""
    return path.replace("{", "{{").replace("}", "}}") if path else path


def shown(template: str) -> str:
    """What a client is shown of a request's path."""
    return template.replace("{{", "{").replace("}}", "}")


def _parts(option: str, path: str) -> list[str]:
    plain = _DRIVE.sub("", path, count=1) if _DRIVE.match(path) else path
    if option == "dir" or plain != path or plain.startswith("\\"):
        plain = plain.replace("\\", "/")
    plain = plain.removeprefix("~")
    if plain == FOLDER or plain.startswith(f"{FOLDER}/"):
        plain = plain[len(FOLDER) :]
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts or ".." in path.split("\\"):
        raise bad_option(option)
    return parts
