"""Keys and credentials, made on first start: an operator, an account, a signing key a role, a file a user.

Authentication is NATS's own decentralised kind: the server is given the account once (`auth.conf`) and
knows no users. Whoever holds a role's signing key can make credentials for that role and no other, so
nodes and owners are added without touching the server. Files are standard `.creds` files.
"""

import base64
import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import nkeys

from broker.roles import DEFAULT_PRODUCER, LEAF_PUBLISHES, PERMISSIONS, Permissions, Role, across, inbox
from schemas.errors import DowndraftError
from schemas.ids import DEFAULT_OWNER, is_node_id, is_owner

AUTH_CONF = "auth.conf"
LEAF_AUTH_CONF, LEAF_CREDS = "leaf-auth.conf", "leaf.creds"
ACCOUNT = "DOWNDRAFT"
ANSWER_WITHIN_NS = 60 * 10**9

_UNLIMITED = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
_JETSTREAM = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
_USER_LIMITS = dict.fromkeys(("subs", "data", "payload"), -1)
_ROLE_TAG = "role:"


class CredentialsInvalid(DowndraftError):
    """A credentials file that can't be used."""

    exit_code = 2


class Identity(NamedTuple):
    role: Role
    name: str

    @property
    def inbox(self) -> str:
        """The inbox prefix this user may subscribe to."""
        return inbox(self.role, self.name)


class Keyring:
    """The keys of one cluster in one folder (mode 0700): seeds in `keys.json`, users in `<name>.creds`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seeds_file = folder / "keys.json"

    @property
    def auth_conf(self) -> Path:
        return self.folder / AUTH_CONF

    def ensure(self) -> None:
        """Make operator, account and signing keys unless they exist."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._seeds_file.exists():
            seeds = {
                "operator": _new_seed(nkeys.PREFIX_BYTE_OPERATOR),
                "account": _new_seed(nkeys.PREFIX_BYTE_ACCOUNT),
                "system": _new_seed(nkeys.PREFIX_BYTE_ACCOUNT),
                **{f"role-{role}": _new_seed(nkeys.PREFIX_BYTE_ACCOUNT) for role in Role},
            }
            write_private(self._seeds_file, json.dumps(seeds, indent=1))
        # Always written: a newer version may sign other permissions for the same keys.
        write_private(self.auth_conf, self._render_auth())

    def credentials(self, role: Role, name: str) -> Path:
        """The credentials file of a user, made if there is none. Raises CredentialsInvalid for a bad name."""
        if role is Role.NODE and not is_node_id(name):
            raise CredentialsInvalid(f"{name!r} is not a node id: use a-z, 0-9 and '-', at most 63")
        if role is Role.PRODUCER and not is_owner(name):
            raise CredentialsInvalid(f"{name!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
        file = self.folder / (f"{role}.creds" if name == _only_name(role) else f"{role}-{name}.creds")
        if not file.exists():
            write_private(file, self._mint(role, name))
        return file

    def leaf(self, domain: str) -> list[Path]:
        """Files for a nats-server that is a leaf node of one whose JetStream has this domain: what it includes in place
        of auth.conf, and the credentials that it shows. Raises CredentialsInvalid.

        It keeps no streams, so that what its clients ask of JetStream crosses over; and nothing crosses but events,
        progress, heartbeats and what else nodes may do, under whatever name.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", domain):
            raise CredentialsInvalid(f"{domain!r} is no JetStream domain: use letters, digits, '-' and '_'")
        auth, creds = self.folder / LEAF_AUTH_CONF, self.folder / LEAF_CREDS
        write_private(auth, self._render_auth(domain))
        node = across(PERMISSIONS[Role.NODE], domain)
        permissions = node._replace(publish=(*node.publish, *LEAF_PUBLISHES), answers=False)
        seed = _new_seed(nkeys.PREFIX_BYTE_USER)
        claims = {
            "issuer_account": self._public("account"),
            "tags": [],
            "type": "user",
            "version": 2,
            **_template(permissions, "*"),
        }
        write_private(creds, _CREDS.format(token=self._sign("account", _public_of(seed), "leaf", claims), seed=seed))
        return [auth, creds]

    def _mint(self, role: Role, name: str) -> str:
        seed = _new_seed(nkeys.PREFIX_BYTE_USER)
        claims: dict[str, Any] = {
            "issuer_account": self._public("account"),
            "tags": [_ROLE_TAG + role],
            "type": "user",
            "version": 2,
        }
        signer = f"role-{role}"
        if role is Role.PRODUCER and name == DEFAULT_OWNER:
            signer = "account"  # a scoped key allows nothing beside its template
            claims |= _template(DEFAULT_PRODUCER, name)
        token = self._sign(signer, _public_of(seed), name, claims)
        return _CREDS.format(token=token, seed=seed)

    def _render_auth(self, domain: str = "") -> str:
        """`domain`: for a leaf node without JetStream, whose clients reach that of this domain."""
        scopes = [
            {
                "kind": "user_scope",
                "key": self._public(f"role-{role}"),
                "role": str(role),
                "template": _template(across(permissions, domain) if domain else permissions, None),
            }
            for role, permissions in PERMISSIONS.items()
        ]
        operator, account, system = (self._public(key) for key in ("operator", "account", "system"))
        tokens = {
            "operator": self._sign(
                "operator", operator, "downdraft", {"system_account": system, "type": "operator", "version": 2}
            ),
            "account": self._sign(
                "operator",
                account,
                ACCOUNT,
                {
                    "limits": {**_UNLIMITED, **({} if domain else _JETSTREAM), "wildcards": True},
                    "default_permissions": {"pub": {}, "sub": {}},
                    "signing_keys": scopes,
                    "type": "account",
                    "version": 2,
                },
            ),
            "system": self._sign(
                "operator",
                system,
                "SYS",
                {"limits": {**_UNLIMITED, "wildcards": True}, "type": "account", "version": 2},
            ),
        }
        leaf = f"ACCOUNT: {account}\ndefault_js_domain: {{ {account}: {domain} }}\n" if domain else ""
        return (
            "# Made by Downdraft: who may connect. Public keys and signed claims, no secrets.\n"
            f"{leaf}"
            f"operator: {tokens['operator']}\n"
            f"system_account: {system}\n"
            "resolver: MEMORY\n"
            f"resolver_preload: {{\n  {account}: {tokens['account']}\n  {system}: {tokens['system']}\n}}\n"
        )

    def _seed(self, key: str) -> str:
        seeds: dict[str, str] = json.loads(self._seeds_file.read_text())
        return seeds[key]

    def _public(self, key: str) -> str:
        return _public_of(self._seed(key))

    def _sign(self, signer: str, subject: str, name: str, claims: dict[str, Any]) -> str:
        pair = nkeys.from_seed(bytearray(self._seed(signer).encode()))
        body: dict[str, Any] = {
            "iat": int(time.time()),
            "iss": pair.public_key.decode(),
            "name": name,
            "sub": subject,
            "nats": claims,
        }
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        body["jti"] = base64.b32encode(digest).decode().rstrip("=")
        signed = f"{_b64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_b64(body)}"
        signature = base64.urlsafe_b64encode(pair.sign(signed.encode())).rstrip(b"=").decode()
        return f"{signed}.{signature}"


def read_identity(file: Path) -> Identity | None:
    """Who a credentials file is; None for one that Downdraft did not make (it then gets the default inbox).

    Raises CredentialsInvalid where the file is missing or is no credentials file.
    """
    try:
        text = file.read_text()
    except OSError as error:
        raise CredentialsInvalid(f"can't read the credentials {str(file)!r}: {error.strerror}") from error
    found = re.search(r"BEGIN NATS USER JWT-+\s+([\w-]+)\.([\w-]+)\.", text)
    if found is None:
        raise CredentialsInvalid(f"{str(file)!r} is not a NATS credentials file")
    claims = json.loads(base64.urlsafe_b64decode(found[2] + "=" * (-len(found[2]) % 4)))
    for tag in claims["nats"].get("tags", ()):
        if tag.startswith(_ROLE_TAG):
            return Identity(Role(tag.removeprefix(_ROLE_TAG)), claims["name"])
    return None


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    part = file.with_name(file.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    part.replace(file)


def _only_name(role: Role) -> str:
    """The user name of a role that usually has one user, whose file then needs no name."""
    return DEFAULT_OWNER if role is Role.PRODUCER else str(role)


def _template(permissions: Permissions, name: str | None) -> dict[str, Any]:
    def fill(patterns: tuple[str, ...]) -> list[str]:
        return [pattern.replace("{{name()}}", name) if name else pattern for pattern in patterns]

    template: dict[str, Any] = {
        "pub": {"allow": fill(permissions.publish)} if permissions.publish else {"deny": [">"]},
        "sub": {"allow": fill(permissions.subscribe)},
        **_USER_LIMITS,
    }
    if permissions.answers:
        template["resp"] = {"max": 1, "ttl": ANSWER_WITHIN_NS}
    return template


def _new_seed(prefix: int) -> str:
    return bytes(nkeys.encode_seed(os.urandom(32), prefix)).decode()


def _public_of(seed: str) -> str:
    public: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    return public.decode()


def _b64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_CREDS = """-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

************************* IMPORTANT *************************
The seed below proves identity: keep this file to yourself.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""
