"""Everything that talks to NATS: the only package that imports it."""
