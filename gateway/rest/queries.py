"""What no address may say: two values where there is one, and `null` for a moment or a number."""

from collections import Counter
from functools import cache
from http import HTTPStatus

from litestar.handlers import HTTPRouteHandler

from gateway.problems import ProblemError
from gateway.rest.asking import Asked

_VALUES = frozenset({"since", "until", "after"})
"""Where the framework would take the text `null` for nothing, and so overlook what was meant to be told."""


async def judge_query(request: Asked) -> None:
    """Raises ProblemError."""
    told = [*request.query_params.multi_items()]
    for name, value in told:
        if name in _VALUES and str(value).lower() == "null":
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name!r} can't be null: leave it out", field=name)
    several = {name: count for name, count in Counter(name for name, _ in told).items() if count > 1}
    for name in several.keys() & (_singles(request.route_handler) if several else ()):
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name!r} is given {several[name]} times: give it once", field=name)


@cache
def _singles(handler: HTTPRouteHandler) -> frozenset[str]:
    """The names that a route takes one value of."""
    model = handler.create_kwargs_model(path_parameters={})
    names = {parameter.field_alias for parameter in model.expected_query_params}
    return frozenset(names - set(model.sequence_query_parameter_names))
