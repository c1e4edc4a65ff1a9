"""What aria2's error codes mean. The messages are the ones aria2c 1.37 gives."""

import pytest

from node.failures import CODES, MESSAGE_CHARS_MAX, classify
from schemas.task import FailureClass

PERMANENT, TRANSIENT = FailureClass.PERMANENT, FailureClass.TRANSIENT
NODE, DAMAGED = FailureClass.NODE, FailureClass.DAMAGED


@pytest.mark.parametrize(
    ("failure", "codes"),
    [
        (TRANSIENT, ("1", "2", "5", "6", "7", "11", "12", "19", "21", "29", "31")),
        (PERMANENT, ("3", "4", "20", "22", "23", "24", "25", "26", "27", "28")),
        (DAMAGED, ("8", "10", "13", "14", "32")),
        (NODE, ("9", "15", "16", "17", "18")),
    ],
)
def test_every_code_has_its_class(failure: FailureClass, codes: tuple[str, ...]) -> None:
    assert {code: classify(code, "").failure for code in codes} == dict.fromkeys(codes, failure)


def test_no_code_is_left_out_of_the_table() -> None:
    assert set(CODES) == {str(number) for number in range(1, 33)} - {"30"}


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, PERMANENT),
        (403, PERMANENT),
        (410, PERMANENT),
        (408, TRANSIENT),
        (425, TRANSIENT),
        (429, TRANSIENT),
        (500, TRANSIENT),
        (599, TRANSIENT),
    ],
)
def test_an_http_status_decides_whether_to_try_again(status: int, failure: FailureClass) -> None:
    verdict = classify("22", f"The response status is not successful. status={status}")
    assert (verdict.failure, verdict.code) == (failure, f"http-{status}")
    assert str(status) in verdict.reason


def test_a_range_that_does_not_fit_means_the_partial_is_of_another_file() -> None:
    verdict = classify("22", "The response status is not successful. status=416")
    assert (verdict.failure, verdict.code) == (DAMAGED, "http-416")


@pytest.mark.parametrize("code", ["3", "4"])
def test_a_missing_file_is_permanent_and_called_404(code: str) -> None:
    verdict = classify(code, "Resource not found")
    assert (verdict.failure, verdict.code) == (PERMANENT, "http-404")


def test_an_overloaded_origin_is_called_by_its_status() -> None:
    verdict = classify("29", "The response status is not successful. status=503")
    assert (verdict.failure, verdict.code) == (TRANSIENT, "http-503")


def test_a_status_quoted_by_another_error_is_not_taken_for_an_answer() -> None:
    assert classify("1", "Failed to establish connection to /?status=429").code == "aria2-1"


def test_addresses_that_aria2_cannot_use_are_permanent_although_their_code_says_nothing() -> None:
    verdict = classify("1", "No URI to download.")
    assert (verdict.failure, verdict.code) == (PERMANENT, "aria2-1")


def test_a_wrong_option_is_permanent_although_its_code_says_nothing() -> None:
    message = "We encountered a problem while processing the option '--split'."
    assert classify("1", message).failure is PERMANENT


def test_an_aborted_download_has_a_damaged_partial() -> None:
    assert classify("1", "Download aborted.").failure is DAMAGED


@pytest.mark.parametrize("code", ["", "0", "30", "99", "nonsense"])
def test_an_unknown_code_is_tried_again(code: str) -> None:
    verdict = classify(code, "")
    assert verdict.failure is TRANSIENT
    assert verdict.reason


def test_a_reason_quotes_the_message_but_never_a_long_one_whole() -> None:
    assert "Connection refused" in classify("1", "cause: Connection refused").reason
    assert len(classify("1", "x" * 10_000).reason) < 2 * MESSAGE_CHARS_MAX
