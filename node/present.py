"""What is downloaded of a task just now: its request, or the present part of it, from the addresses that are of use."""

from msgspec.structs import replace

from node.asking import Asker
from node.failures import HTTP_ASKS_TO_WAIT, Verdict, answered
from node.metalinks import Metalinks
from node.mirrors import Survey, refused_by_all, results, surveyed
from node.probe import Probed
from node.session import Session
from schemas.redact import redact_uri
from schemas.request import Request
from schemas.task import FailureClass, Mirror


class Present:
    """The requests of one node's tasks as they are carried out."""

    def __init__(self, asker: Asker, metalinks: Metalinks) -> None:
        self._asker = asker
        self._metalinks = metalinks
        self._surveys: dict[str, Survey] = {}
        """Of the addresses of a task's present part, where there are several."""

    def __repr__(self) -> str:
        return f"<Present {len(self._surveys)} surveyed>"

    async def survey(self, session: Session) -> Verdict | None:
        """Find out which of several addresses are of use; a verdict where this node goes to none."""
        task, request = session.task, self.asked(session)
        is_named_by_others = self._metalinks.of(task) is not None
        if len(request.uris) == 1 and not is_named_by_others:
            return None
        found = await self._asker.ask(request)
        if is_named_by_others:
            unasked = [uri for uri in request.uris if uri not in found]
            found |= {uri: Probed(refused=why) for uri, why in (await self._asker.refusals(unasked)).items()}
            if refusal := refused_by_all(request.uris, found):
                return refused(request.uris[0], refusal)
        elif verdict := verdict_of_look(request, found):
            return verdict
        self._surveys[task] = surveyed(request.uris, found, request.size_bytes)
        return None

    def asked(self, session: Session) -> Request:
        """What is downloaded now: the request, or the present part of it."""
        parts = self._metalinks.of(session.task)
        part = parts.current if parts else None
        return part.request if part else request_of(session)

    def current(self, session: Session) -> Request:
        """… with the addresses that are used."""
        request, survey = self.asked(session), self._surveys.get(session.task)
        if survey is None or not survey.unused:
            return request
        return replace(request, uris=tuple(uri for uri in request.uris if uri not in survey.unused))

    def mirrors(self, session: Session, size: int | None) -> tuple[Mirror, ...]:
        """What each of several addresses did for the file, of `size` bytes where it is whole."""
        return results(self.asked(session).uris, self._surveys.get(session.task, Survey()), size)

    def forget(self, task: str) -> None:
        """Its attempt is over, or another part is the present one."""
        self._surveys.pop(task, None)


def verdict_of_look(request: Request, found: dict[str, Probed]) -> Verdict | None:
    """Why a download need not begin: the node does not go there, or the origin asks to come again later."""
    for uri, told in found.items():
        if told.refused:
            led_on = "" if told.final_uri == uri else "leads on: "
            return refused(uri, led_on + told.refused)
    own_tries = "max-tries" in request.options or "retry-wait" in request.options
    if len(request.uris) > 1 or own_tries:
        return None  # another mirror may do, or aria2 is to come again as it was told
    for told in found.values():
        if told.status in HTTP_ASKS_TO_WAIT:
            return answered(told.status)._replace(retry_after_s=told.retry_after_s)
    return None


def refused(uri: str, why: str) -> Verdict:
    """The node does not go there."""
    return Verdict(FailureClass.PERMANENT, "address-refused", f"{redact_uri(uri)}: {why}")


def request_of(session: Session) -> Request:
    """The request of a session's task."""
    assert session.row.request is not None, "a rejected request is never placed"
    return session.row.request
