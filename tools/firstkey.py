"""The gateway's first API key, made beside the credentials of the cluster."""

import secrets
from pathlib import Path

from broker.credentials import write_private
from schemas.apikey import ID_BYTES, SECRET_BYTES, make_secret

API_KEY = "api.key"


def first_key(folder: Path) -> Path:
    """The file in `folder` that holds it; what exists is kept."""
    file = folder / API_KEY
    if not file.exists():
        write_private(file, make_secret(secrets.token_bytes(ID_BYTES + SECRET_BYTES)).text + "\n")
    return file
