"""How hard hypothesis tries: `HYPOTHESIS_PROFILE=thorough` before a release, quick otherwise."""

import os

from hypothesis import HealthCheck, settings

# Slow machines are no bugs; what is found is kept as an example in the test, not in a database beside it.
settings.register_profile(
    "quick",
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=3000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
