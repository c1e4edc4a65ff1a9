"""Which of several addresses are used, and what is told of each. Pure."""

from node.mirrors import SILENT, Survey, agreed_size, refused_by_all, results, surveyed
from node.probe import Probed
from schemas.task import MIRROR_URI_CHARS_MAX, Mirror

A, B, C, D = (f"http://{name}.example/f" for name in "abcd")


def good(size: int | None = 10) -> Probed:
    return Probed(status=200, size=size)


def test_a_mirror_that_refuses_is_silent_or_has_another_file_is_left_out() -> None:
    found = {A: good(), B: Probed(status=404), C: Probed(), D: good(11)}
    problems = {B: "it answered 404", C: SILENT, D: "its file has 11 bytes, not 10"}
    assert surveyed([A, B, C, D], found, 10) == Survey(problems, frozenset(problems))


def test_without_an_expected_size_the_size_of_most_counts_and_among_equals_the_first_one_s() -> None:
    assert agreed_size({A: good(1), B: good(2), C: good(2)}) == 2
    assert agreed_size({A: good(1), B: good(2), C: Probed(status=404, size=2)}) == 1
    assert agreed_size({A: Probed()}) is None
    assert surveyed([A, B, C], {A: good(1), B: good(2), C: good(2)}, None).unused == {A}


def test_a_mirror_that_was_not_asked_or_tells_no_size_is_used() -> None:
    assert surveyed([A, B, C], {A: good(), B: good(None)}, None) == Survey()


def test_where_all_have_problems_all_are_tried_but_those_to_which_the_node_does_not_go() -> None:
    survey = surveyed([A, B], {A: Probed(), B: Probed(status=503)}, None)
    assert survey == Survey({A: SILENT, B: "it answered 503"})
    assert surveyed([A, B], {A: Probed(refused="no"), B: Probed(status=503)}, None).unused == {A}


def test_all_refused_is_said_with_the_first_reason() -> None:
    assert refused_by_all([A, B], {A: Probed(refused="no"), B: Probed(refused="never")}) == "no"
    assert not refused_by_all([A, B], {A: Probed(refused="no")})


def test_bytes_are_told_only_where_one_mirror_sent_them_all() -> None:
    silent = Survey({B: SILENT}, frozenset({B}))
    assert results([A, B], silent, 10) == (Mirror(A, 10), Mirror(B, 0, SILENT))
    assert results([A, B, C], silent, 10) == (Mirror(A), Mirror(B, 0, SILENT), Mirror(C))
    assert results([A, B], Survey({B: SILENT}), 10) == (Mirror(A), Mirror(B, None, SILENT))
    assert results([A, B], Survey(), None) == (Mirror(A), Mirror(B))
    assert results([A], Survey(), 10) == ()


def test_no_password_is_told_and_no_endless_address() -> None:
    long = f"http://user:secret@a.example/{'x' * 9000}"
    told = results([long, B], Survey(), None)[0].uri
    assert told.startswith("http://a.example/xxx")
    assert len(told) == MIRROR_URI_CHARS_MAX
