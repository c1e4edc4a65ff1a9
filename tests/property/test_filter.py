"""A filter never lets a condition go: each one only narrows, and the wire changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.event import OUTCOME_EVENTS, Finished
from schemas.filter import Standing, TaskFilter, filter_of, stands
from schemas.lifecycle import FINISHED, Desired, State
from schemas.view import TaskView, ended
from tests.property.strategies import desires, events, moments, node_ids, owners, task_ids

few = st.sampled_from(["eu", "ssd", "a=b", "project"])
hosts = st.sampled_from(["h.example", "a.h.example", "b.example:8080"])

views = st.builds(
    TaskView,
    task=task_ids,
    owner=owners,
    state=st.sampled_from(State),
    name=st.text(max_size=4),
    uris=st.lists(hosts.map("https://{}/f".format), max_size=2).map(tuple),
    node=st.just("") | node_ids,
    desired=desires,
    tags=st.lists(few, max_size=3).map(tuple),
    labels=st.dictionaries(few, few, max_size=3),
    submitted=st.none() | moments,
    finished=st.none() | moments,
)
conditions = {
    "states": st.lists(st.sampled_from(Standing), max_size=3).map(tuple),
    "tags": st.lists(few, max_size=2).map(tuple),
    "labels": st.lists(few, max_size=2).map(tuple),
    "owners": st.lists(owners, max_size=2).map(tuple),
    "nodes": st.lists(node_ids, max_size=2).map(tuple),
    "origins": st.lists(hosts | hosts.map("*.{}".format), max_size=2).map(tuple),
    "text": st.text(max_size=2),
    "since": st.none() | moments,
    "until": st.none() | moments,
}
filters = st.builds(TaskFilter, **conditions)


@given(filters, views)
def test_a_filter_matches_where_each_of_its_conditions_alone_does(where: TaskFilter, view: TaskView) -> None:
    alone = [TaskFilter(**{name: getattr(where, name)}) for name in conditions]
    assert where.matches(view) == all(one.matches(view) for one in alone)


@given(views, st.sampled_from(["tags", "labels"]), st.lists(few, min_size=2, max_size=2))
def test_a_further_tag_or_label_never_finds_more(view: TaskView, kind: str, values: list[str]) -> None:
    both, one = (filter_of(**{kind: chosen}) for chosen in (values, values[:1]))
    assert not both.matches(view) or one.matches(view)


@given(views, st.lists(st.sampled_from(Standing), min_size=1, max_size=3))
def test_a_further_state_never_finds_less(view: TaskView, states: list[Standing]) -> None:
    assert TaskFilter(states=tuple(states)).matches(view) == any(stands(view, state) for state in states)


@given(filters)
def test_the_wire_changes_nothing(where: TaskFilter) -> None:
    assert codec.decode(codec.encode(where), TaskFilter) == where


@given(views)
def test_every_task_stands_somewhere(view: TaskView) -> None:
    standings = [standing for standing in Standing if stands(view, standing)]
    is_paused = view.desired is Desired.PAUSE and view.state not in FINISHED and view.state is not State.ENDING
    assert len(standings) == 1 + is_paused


@given(st.one_of(*(events(kind) for kind in OUTCOME_EVENTS.values())))
def test_an_outcome_is_found_by_what_it_says(event: Finished) -> None:
    view = ended(event)
    asked = TaskFilter(states=(Standing(view.state),), owners=(event.owner,), since=event.time, text=event.task[:8])
    assert asked.matches(view)
    assert not TaskFilter(until=event.time).matches(view)
