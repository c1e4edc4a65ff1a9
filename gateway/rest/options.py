"""Which of aria2's options a request may have."""

from litestar import get
from msgspec import Struct

from gateway.access import ALONE, ANY_KEY
from schemas.options import ALLOWED


class AllowedOption(Struct, frozen=True, kw_only=True):
    """One of them."""

    name: str
    wants: str
    """What its value has to be, in words."""
    about: str
    """What it does, in a sentence."""
    only: str = ""
    """The one kind of download that it means something for."""


class AllowedOptions(Struct, frozen=True):
    options: tuple[AllowedOption, ...]


_ALL = AllowedOptions(
    tuple(
        AllowedOption(name=name, wants=option.wants, about=option.about, only=option.only)
        for name, option in sorted(ALLOWED.items())
    )
)


@get("/options", opt={"scope": ANY_KEY, ALONE: True}, tags=["tasks"])
async def allowed_options() -> AllowedOptions:
    """The options of aria2 that a request may have, by name."""
    return _ALL


ROUTES = (allowed_options,)
