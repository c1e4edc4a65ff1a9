"""What no address may say: two values where there is one, and what is no moment."""

from collections import Counter
from datetime import datetime
from functools import cache
from http import HTTPStatus

import msgspec
from litestar.handlers import HTTPRouteHandler

from gateway.problems import ProblemError
from gateway.rest.asking import Asked

MOMENTS = frozenset({"since", "until"})
"""For these the framework takes `null` and any number too: what was meant by that nobody knows."""
NUMBERS = frozenset({"after"})
EXAMPLE = "2026-11-23T08:00:00Z"


async def judge_query(request: Asked) -> None:
    """Raises ProblemError."""
    told = [*request.query_params.multi_items()]
    for name, value in told:
        if name in MOMENTS and not _is_moment(value):
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{value[:64]!r} is no moment: {EXAMPLE} is one", field=name)
        if name in NUMBERS and value.lower() == "null":
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name!r} can't be null: leave it out", field=name)
    several = {name: count for name, count in Counter(name for name, _ in told).items() if count > 1}
    for name in several.keys() & (_singles(request.route_handler) if several else ()):
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name!r} is given {several[name]} times: give it once", field=name)


def _is_moment(text: str) -> bool:
    try:
        msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return False
    return True


@cache
def _singles(handler: HTTPRouteHandler) -> frozenset[str]:
    """The names that a route takes one value of."""
    model = handler.create_kwargs_model(path_parameters={})
    names = {parameter.field_alias for parameter in model.expected_query_params}
    return frozenset(names - set(model.sequence_query_parameter_names))
