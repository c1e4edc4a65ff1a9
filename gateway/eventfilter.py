"""Which events somebody wants, and may see."""

from collections import OrderedDict
from typing import Protocol

from msgspec import Struct

from broker.follow import expand
from schemas.event import KINDS, Event, Finished, Queued
from schemas.view import TaskView

KNOWN_MAX = 20_000
"""Tasks whose traits are remembered: twice what runs in a large cluster."""


class Traits(Struct, frozen=True):
    """What events are chosen by and do not all say."""

    owner: str
    tags: tuple[str, ...]
    labels: dict[str, str]


class Model(Protocol):
    """Where they are looked up."""

    @property
    def is_ready(self) -> bool: ...
    async def get(self, task: str) -> TaskView | None: ...


class TraitBook:
    """The traits of the tasks that something happens to, remembered for all who choose by them."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: OrderedDict[str, Traits] = OrderedDict()

    def __repr__(self) -> str:
        return f"<TraitBook of {len(self._known)} tasks>"

    @property
    def is_ready(self) -> bool:
        """Whether every live task can be looked up."""
        return self._model.is_ready

    def learn(self, event: Event) -> None:
        """Two kinds of events tell a task's tags themselves, whatever the model knows yet."""
        match event:
            case Queued():
                self._remember(event.task, Traits(event.owner, event.tags, event.labels))
            case Finished():
                tags = event.request.tags if event.request else event.tags
                self._remember(event.task, Traits(event.owner, tags, event.labels))

    async def of(self, task: str) -> Traits | None:
        """None where the task is not known (any more)."""
        if (known := self._known.get(task)) is not None:
            return known
        view = await self._model.get(task)
        if view is None:
            return None
        return self._remember(task, Traits(view.owner, view.tags, view.labels))

    def _remember(self, task: str, traits: Traits) -> Traits:
        self._known[task] = traits
        self._known.move_to_end(task)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return traits


class EventFilter(Struct, frozen=True, kw_only=True):
    """Conditions that must all hold; of tasks, kinds and owners one is enough, tags and labels must all be there."""

    tasks: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    owners: frozenset[str] | None = None
    """None: everybody's."""
    tags: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    """Each `name=value`, or `name` for any value."""

    @property
    def read_kinds(self) -> frozenset[str]:
        """Kinds that must be read: all where tags are asked for, which not every event tells."""
        return frozenset() if self.tags else self.kinds

    @property
    def needs_book(self) -> bool:
        """Whether not every event tells what it is chosen by."""
        return bool(self.tags)

    async def wants(self, event: Event, book: TraitBook) -> bool:
        """Whether an event is meant."""
        if self.tags:
            book.learn(event)
        if self.owners is not None and event.owner not in self.owners:
            return False
        if (self.kinds and event.kind not in self.kinds) or not self._means(event.task):
            return False
        if not _has_labels(event.labels, self.labels):
            return False
        return not self.tags or self._has_tags(await book.of(event.task))

    async def wants_progress(self, task: str, book: TraitBook) -> bool:
        """Whether the progress of a task is meant; it does not say whose it is."""
        if not self._means(task):
            return False
        if self.owners is None and not self.tags and not self.labels:
            return True
        traits = await book.of(task)
        return (
            traits is not None
            and (self.owners is None or traits.owner in self.owners)
            and _has_labels(traits.labels, self.labels)
            and self._has_tags(traits)
        )

    def _means(self, task: str) -> bool:
        return not self.tasks or task in self.tasks

    def _has_tags(self, traits: Traits | None) -> bool:
        return traits is not None and self.tags.issubset(traits.tags)


def _has_labels(labels: dict[str, str], asked: tuple[str, ...]) -> bool:
    for one in asked:
        name, has_value, value = one.partition("=")
        if name not in labels or (has_value and labels[name] != value):
            return False
    return True


def known_kinds(asked: tuple[str, ...]) -> frozenset[str]:
    """Event types, `finished` meaning all outcomes. Raises ValueError, which names what there is."""
    kinds = expand(asked)
    if unknown := sorted(kinds - set(KINDS)):
        raise ValueError(
            f"there is no event type {unknown[0]!r}; there are {', '.join(KINDS)}, and finished for all four"
        )
    return kinds
