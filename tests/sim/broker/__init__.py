"""A nats-server in memory, for the seeded simulation: what Downdraft relies on, and no I/O, threads or wall clock.

`server` routes subjects; `jetstream`, `streams` and `consumers` store and deliver; `client` stands in for nats-py's
client below the real `broker.connection.Connection`; `link` is the wire between the two, where faults are made.
The suite in `tests/sim/contract` runs the same cases against this and a real nats-server: where they differ,
the real one is right.
"""
