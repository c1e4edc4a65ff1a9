"""What a publish may ask of a stream before it is stored, in its headers; and how a stream says no."""

from typing import TYPE_CHECKING

from tests.sim.broker.frames import Headers

if TYPE_CHECKING:
    from tests.sim.broker.streams import Stream

EXPECTED_STREAM = "Nats-Expected-Stream"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"
EXPECTED_OF_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
TTL = "Nats-TTL"


class Refusal(Exception):
    """An error answer of JetStream."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.err_code = err_code
        self.description = description

    def __repr__(self) -> str:
        return f"<Refusal {self.err_code} {self.description}>"

    def body(self) -> dict[str, object]:
        return {"code": self.code, "err_code": self.err_code, "description": self.description}


def check(stream: "Stream", subject: str, headers: Headers) -> None:
    """Compare what is expected with what is stored, under the subject as stored. Raises Refusal."""
    if headers.get(EXPECTED_STREAM, stream.name) != stream.name:
        raise Refusal(400, 10060, "expected stream does not match")
    if EXPECTED_LAST in headers and _number(headers[EXPECTED_LAST]) != stream.last_sequence:
        raise _wrong(stream.last_sequence)
    if EXPECTED_OF_SUBJECT in headers:
        last = stream.last_under(headers.get(EXPECTED_SUBJECT, subject))
        if _number(headers[EXPECTED_OF_SUBJECT]) != last:
            raise _wrong(last)


def ttl_s(headers: Headers, *, allowed: bool) -> int:
    """How long a message is to live, 0: for ever. Raises Refusal."""
    wanted = headers.get(TTL)
    if wanted is None:
        return 0
    if not allowed:
        raise Refusal(400, 10166, "per-message TTL is disabled")
    number = wanted.removesuffix("s")
    if not number.isdigit() or int(number) < 1:
        raise Refusal(400, 10165, "invalid per-message TTL")
    return int(number)


def _wrong(last: int) -> Refusal:
    return Refusal(400, 10071, f"wrong last sequence: {last}")


def _number(text: str) -> int:
    """A header's number; one that is none equals nothing."""
    return int(text) if text.isdigit() else -1
