"""A breath between two batches under load: what gathers meanwhile shares the next requests to the broker."""

import anyio

BUSY_S = 0.01
"""A batch that begins so soon after the last one is worth waiting for more."""


class Pace:
    """For one loop that takes what has come, batch by batch. When idle it costs nothing and delays nothing."""

    def __init__(self) -> None:
        self._began_at = -BUSY_S

    async def breathe(self) -> None:
        """Call when a batch has begun to gather; returns when it should be taken."""
        since_s = anyio.current_time() - self._began_at
        if since_s < BUSY_S:
            await anyio.sleep(BUSY_S - since_s)
        self._began_at = anyio.current_time()
