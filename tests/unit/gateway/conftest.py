"""A read model's store."""

from collections.abc import Iterator

import pytest

from gateway.readmodel.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store("", 100_000, lambda task, node, attempt: False)
    yield made
    made.close()
