"""A leader with a large table, and Python's garbage collector.

Now and then the collector looks at every object there is: a second for a million tasks in the queue, half the life of a
lease. Rows and queue are no garbage and hold no cycles, so what was taken in is set aside, where it is not looked at
(freeing it is as ever); when the term is over it is taken back, for the term itself is a cycle.
"""

import gc

LARGE = 20_000
"""Tasks that are worth the trouble: looking at so many takes some 20 ms."""


def set_aside() -> None:
    """Leave all objects there are now out of further collections, but for fresh garbage: a few milliseconds."""
    gc.collect(1)
    gc.freeze()


def take_back() -> None:
    """After a term: free what was set aside for it, if anything was."""
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
