"""`python -m tests.golden`: write the payloads of this version."""

from schemas import __version__
from tests.golden import write

print(write(__version__))
