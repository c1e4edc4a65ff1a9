"""What lies in folders in which others work."""

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Every file there. A folder that goes meanwhile is passed over; `Path.rglob` fails over it."""
    return [Path(at, name) for at, _, names in os.walk(folder) for name in names]
