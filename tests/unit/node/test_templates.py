"""Placeholders in `dir` and `out`: checked with the request, expanded without ever adding a folder."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from node.naming import asks_name, final_path
from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from tests.examples import TASK, a_row

SUBMITTED = datetime(2031, 5, 1, 23, 30, tzinfo=UTC)


def path(told: str = "", submitted: datetime = SUBMITTED, **fields: Any) -> str:
    body = {"uris": ["https://mirror.example:8080/d/f.tar.gz"], **fields}
    request = decode_request(json.dumps(body).encode())
    return final_path(a_row(task=TASK, request=request, owner="team-a", submitted=submitted), told).as_posix()


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("{owner}/{tag:category}/{date}", "team-a/web/2031-05-01"),
        ("{year}/{month}/{day}", "2031/05/01"),
        ("{host}/{task}", f"mirror.example/{TASK}"),
        ("{label:project}-{label:a/b}", "mirror-x"),
        ("{{x}}/{owner}s", "{x}/team-as"),
        ("plain//./a b", "plain/a b"),
    ],
)
def test_placeholders_are_filled_in(template: str, folder: str) -> None:
    labels = {"project": "mirror", "a/b": "x"}
    assert path(dir=template, tags=["ssd", "category=web"], labels=labels) == f"{folder}/f.tar.gz"


def test_the_date_is_that_of_the_submission_in_utc() -> None:
    moment = datetime(2031, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert path(dir="{date}", submitted=moment) == "2030-12-31/f.tar.gz"


def test_a_name_and_its_extension_are_those_the_origin_or_the_address_give() -> None:
    assert path(out="{ext}/{name}-{owner}.{ext}") == "gz/f.tar-team-a.gz"
    assert path("told.iso", out="{name}.{ext}") == "told.iso"
    assert path("README", out="{name}.{ext}") == "README"
    assert path("README", dir="{ext}") == "_/README"
    assert path("told.iso", out="mine") == "mine"


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("../../etc", "__.._etc"),
        ("..", "_"),
        ("", "_"),
        ("a/b\\c", "a_b_c"),
        (".downdraft", "_downdraft"),
        ("CON", "_CON"),
        ("{owner}", "{owner}"),
        ("\r\n", "_"),
    ],
)
def test_a_value_never_adds_a_folder_nor_leaves_it(value: str, folder: str) -> None:
    assert path(dir="{label:x}", labels={"x": value}) == f"{folder}/f.tar.gz"


@pytest.mark.parametrize(
    ("field", "template", "reason"),
    [
        ("dir", "{ownr}", "dir: '{ownr}' is no placeholder; there are {owner}, {date}, "),
        ("out", "{}", "out: '{}' is no placeholder"),
        ("dir", "{owner!r}", "'{owner}' is no placeholder"),
        ("dir", "{owner:x}", "'{owner:x}' is no placeholder"),
        ("dir", "{tag:}", "'{tag}' is no placeholder"),
        ("dir", "{tag:{x}}", "is no placeholder"),
        ("dir", "{owner.x}", "'{owner.x}' is no placeholder"),
        ("dir", "a{b", "a brace stands alone; write {{ or }} for a brace itself"),
        ("dir", "a}b", "a brace stands alone"),
        ("dir", "{tag:category}", "dir: {tag:category} needs a tag category=… among `tags`"),
        ("out", "{label:project}", "out: {label:project} needs a label 'project' among `labels`"),
        ("dir", "../{owner}", "must not leave the download folder"),
        ("dir", "/{owner}", "must be relative"),
        ("out", "{owner}/", "must name a file"),
        ("dir", "x/.Downdraft/{owner}", "is kept for unfinished downloads"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused_with_the_request(
    field: str, template: str, reason: str
) -> None:
    with pytest.raises(RequestInvalid) as refused:
        path("", SUBMITTED, **{field: template})
    assert reason in str(refused.value)


def test_a_request_without_a_host_cannot_ask_for_it() -> None:
    magnet = f"magnet:?xt=urn:btih:{'a' * 40}"
    with pytest.raises(RequestInvalid, match="needs an address with a host"):
        decode_request(json.dumps({"uris": [magnet], "dir": "{host}"}).encode())


@pytest.mark.parametrize(
    ("fields", "asked"),
    [({}, True), ({"out": "f"}, False), ({"out": "f", "dir": "{ext}"}, True), ({"out": "{name}"}, True)],
)
def test_the_origin_is_asked_for_a_name_only_where_it_counts(fields: dict[str, Any], asked: bool) -> None:
    request = decode_request(json.dumps({"uris": ["https://a.example/f"], **fields}).encode())
    assert asks_name(request) is asked
