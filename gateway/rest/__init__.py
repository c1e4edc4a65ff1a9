"""REST: one file for each kind of thing, under /api/v1."""
