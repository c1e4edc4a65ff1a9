"""The bounds of what may be asked of a drill; apart, so that `--help` loads nothing else."""

TASKS = 500
TASKS_MAX = 10_000
"""Their files need 3 GB of disk, and one machine's cluster some minutes."""
SECONDS = 30
SECONDS_MIN = 5
"""Below that there is no time for a fault and its end."""
SECONDS_MAX = 3_600
SEED_MAX = 1_000_000
"""Enough storms for anyone, and short to type."""
