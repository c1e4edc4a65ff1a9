"""The methods about the whole: its options, which are the cluster's policy, its session, its end."""

from typing import Any

from broker import policyclient
from broker.cluster import Refused
from gateway.aria2rpc.defaults import OF_DOWNLOADS, OF_THE_WHOLE
from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.errors import RpcError, bad_option
from gateway.aria2rpc.options import CHOICES, is_known, normal
from gateway.aria2rpc.params import Params
from schemas.errors import PolicyInvalid, RequestInvalid
from schemas.options import ALLOWED, check_defaults
from schemas.sizes import parse_size
from schemas.windows import DAYS, MINUTES, parse_window

OVERALL = "max-overall-download-limit"
SLOTS = "max-concurrent-downloads"


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
    """What the policy has of it is changed there; what a cluster can't honour is refused before anything is."""
    given = {name: value for name, value in params.table(0).items() if isinstance(value, str)}
    options: dict[str, str] = {}
    for name, value in given.items():
        if name in ALLOWED:
            options[name] = value
        elif name == OVERALL:
            _limit(value)
        elif _says_something(name, value):
            raise bad_option(name)
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


def _says_something(name: str, value: str) -> bool:
    """Whether an option that can't be changed was meant to be."""
    default = OF_DOWNLOADS.get(name, OF_THE_WHOLE.get(name))
    if value in ("", default) or value in CHOICES.get(name, ()):
        return False
    return default is not None or is_known(name)


def _limit(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise bad_option(OVERALL) from error


def _always(text: str) -> int:
    """The limit of a window that holds all the time; 0 for any other."""
    window = parse_window(text)
    return window.bytes_per_s if len(window.days) == len(DAYS) and window.end - window.start == MINUTES else 0
