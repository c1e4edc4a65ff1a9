"""The methods about the whole: its options, which are the cluster's policy, its session, its end."""

from collections.abc import Mapping
from typing import Any

from broker import policyclient
from broker.cluster import Refused
from gateway.aria2rpc.defaults import OF_DOWNLOADS, OF_THE_WHOLE
from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.errors import RpcError, bad_option
from gateway.aria2rpc.optionkinds import KNOWN, is_taken, within
from gateway.aria2rpc.options import lines_of, news, normal
from gateway.aria2rpc.params import Params
from schemas.errors import PolicyInvalid, RequestInvalid
from schemas.options import ALLOWED, check_defaults
from schemas.sizes import parse_size
from schemas.windows import DAYS, MINUTES, parse_window

OVERALL = "max-overall-download-limit"
SLOTS = "max-concurrent-downloads"
TUNING_NUMBERS = frozenset({"bt-max-open-files", "max-download-result"})
TUNING_CHOICES: Mapping[str, frozenset[str]] = {
    "download-result": frozenset({"default", "full", "hide"}),
    "keep-unfinished-download-result": frozenset({"true", "false"}),
    "log-level": frozenset({"debug", "info", "notice", "warn", "error"}),
    "optimize-concurrent-downloads": frozenset({"true", "false"}),
}
"""How one aria2 goes about it: taken, and left to the nodes."""
CHANGEABLE = (
    KNOWN
    | TUNING_NUMBERS
    | TUNING_CHOICES.keys()
    | {OVERALL, SLOTS, "max-overall-upload-limit", "log", "save-cookies", "save-session", "server-stat-of"}
)
"""What aria2 itself lets be changed while it runs; all else it passes over."""
PASSED_OVER = frozenset({"checksum", "gid", "index-out", "out", "pause", "select-file", "header"})


async def get_global_option(desk: Desk, _: Params) -> Any:
    """aria2's defaults, and above them what the cluster's policy says."""
    told = dict(OF_DOWNLOADS) | dict(OF_THE_WHOLE)
    beats = desk.gateway.model.heartbeats.values()
    told[SLOTS] = str(sum(beat.slots for beat in beats if not beat.leaving) or 1)
    try:
        policy = (await policyclient.read(desk.client)).policy
    except Refused as error:
        raise RpcError(str(error)) from error
    told |= {name: normal(name, value) for name, value in policy.get("options", {}).items()}
    told[OVERALL] = str(next((int(limit) for window in policy.get("bandwidth", ()) if (limit := _always(window))), 0))
    return told


async def change_global_option(desk: Desk, params: Params) -> Any:
    """What the policy has of it is changed there; what a cluster can't honour is refused before anything is.

    Values that are as they were told change nothing: many clients send their whole form.
    """
    asked = params.table(0)
    texts = {name: value for name, value in asked.items() if isinstance(value, str) and name not in PASSED_OVER}
    given = news(texts, await get_global_option(desk, params))
    for name, value in given.items():
        if name in CHANGEABLE and not (name in ALLOWED or name == OVERALL or _is_idle(name, value)):
            raise bad_option(name)
    if lines_of(asked.get("header")):
        raise bad_option("header")
    if OVERALL in given:
        _limit(given[OVERALL])
    options = {name: within(name, value) for name, value in given.items() if name in ALLOWED and value != ""}
    try:
        checked = check_defaults(options)
    except RequestInvalid as error:
        raise bad_option(error.where.removeprefix("options.")) from error
    if not checked and OVERALL not in given:
        return "OK"

    def edit(values: policyclient.Values) -> policyclient.Values:
        after = dict(values)
        if checked:
            after["options"] = dict(values.get("options", {})) | checked
        if OVERALL in given:
            limit = _limit(given[OVERALL])
            kept = [window for window in values.get("bandwidth", ()) if not _always(window)]
            after["bandwidth"] = [*kept, str(limit)] if limit else kept
        return after

    try:
        await policyclient.change(desk.client, edit)
    except PolicyInvalid as error:
        raise bad_option(OVERALL if error.where.startswith("bandwidth") else error.where) from error
    except (policyclient.PolicyConflict, policyclient.PolicyUnreadable, Refused) as error:
        raise RpcError(str(error)) from error
    return "OK"


async def save_session(_: Desk, __: Params) -> Any:
    """Nothing is to be saved: all of it is in the broker's streams."""
    return "OK"


async def shutdown(_: Desk, __: Params) -> Any:
    raise RpcError("A client can't end the cluster: stop the gateway, or `downdraft up`, where it runs.")


def _is_idle(name: str, value: str) -> bool:
    """Whether it may be said because it changes nothing that a client would see."""
    if (choices := TUNING_CHOICES.get(name)) is not None:
        return value in choices
    return value.isdigit() if name in TUNING_NUMBERS else name == "save-session" or is_taken(name, value)


def _limit(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise bad_option(OVERALL) from error


def _always(text: str) -> int:
    """The limit of a window that holds all the time; 0 for any other."""
    window = parse_window(text)
    return window.bytes_per_s if len(window.days) == len(DAYS) and window.end - window.start == MINUTES else 0
