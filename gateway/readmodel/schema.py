"""The read model's SQLite database: opened, made anew where it is lost, damaged or of another version."""

import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from schemas.errors import SettingInvalid

log = structlog.get_logger()

VERSION = 4
"""Raise it with every change of the tables or of what is in them: older databases are then made anew."""
APPLICATION = 0x444F574E
"""Says that a file is ours ("DOWN")."""
IN_MEMORY = ":memory:"
PAGE_BYTES = 8192
CACHE_KIB = 64 * 1024
_HEADER = b"SQLite format 3\0"
_APPLICATION_AT = 68

_TABLES = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    key INTEGER NOT NULL,
    submitted INTEGER,
    sequence INTEGER,
    ended INTEGER,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    line TEXT,
    terms BLOB NOT NULL,
    text TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX by_task ON tasks (task);
CREATE INDEX by_line ON tasks (line, task) WHERE line IS NOT NULL;
CREATE INDEX by_owner_line ON tasks (owner, line, task) WHERE line IS NOT NULL;
CREATE INDEX by_end ON tasks (ended, submitted) WHERE ended IS NOT NULL;
CREATE INDEX by_sequence ON tasks (sequence) WHERE sequence IS NOT NULL;
CREATE TABLE dismissed (task INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
ORDERS = {"by_name": "name, task", "by_size": "size, task", "by_priority": "priority, task"}
"""Indexes that only sorted listings use, and what each is of. Made at once they take a sixth of the time that they take
line by line, so they may be missing while much is read."""


def make_orders(database: sqlite3.Connection) -> None:
    """Those that are missing: of a million tasks in some seconds."""
    for name, columns in ORDERS.items():
        database.execute(f"CREATE INDEX IF NOT EXISTS {name} ON tasks ({columns})")


def drop_orders(database: sqlite3.Connection) -> None:
    for name in ORDERS:
        database.execute(f"DROP INDEX IF EXISTS {name}")


def open_database(path: str) -> sqlite3.Connection:
    """The database at `path`, or one in memory, with its tables. Raises SettingInvalid."""
    if not path:
        return _made(_connect(IN_MEMORY))
    file = Path(path)
    _refuse_others(file)
    try:
        database = _connect(path)
        if _is_current(database):
            make_orders(database)  # whoever wrote it may have been stopped before
            return database
        database.close()
    except sqlite3.OperationalError as error:
        raise SettingInvalid(
            f"gateway.database: can't use {path!r}: {error}; each gateway needs a file of its own, in a folder that "
            "it may write to"
        ) from error
    except sqlite3.DatabaseError as error:
        log.warning("the read model's file is damaged: it is made anew", file=path, problem=str(error))
    for name in (path, f"{path}-wal", f"{path}-shm"):
        Path(name).unlink(missing_ok=True)
    return _made(_connect(path))


def _refuse_others(file: Path) -> None:
    """What is no read model of ours is not overwritten."""
    try:
        with file.open("rb") as opened:
            head = opened.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingInvalid(f"gateway.database: can't read {str(file)!r}: {error.strerror}") from error
    is_ours = head.startswith(_HEADER) and head[_APPLICATION_AT:][:4] == APPLICATION.to_bytes(4, "big")
    if head and not is_ours:
        raise SettingInvalid(f"gateway.database: {str(file)!r} is no read model: name another file, or delete it")


def _connect(path: str) -> sqlite3.Connection:
    # One connection, used by one thread at a time.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.execute("PRAGMA temp_store = MEMORY")
    if path != IN_MEMORY:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # what is lost is read from the streams again
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
    return database


def _is_current(database: sqlite3.Connection) -> bool:
    with closing(database.execute("PRAGMA user_version")) as found:
        version = int(found.fetchone()[0])
    if version != VERSION:
        return False
    with closing(database.execute("PRAGMA quick_check(1)")) as found:
        if found.fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it does not pass SQLite's own check")
    return True


def _made(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.executescript(_TABLES)
    make_orders(database)
    database.execute(f"PRAGMA user_version = {VERSION}")  # last: without it nothing above counts
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # into the file itself, which is known by its head
    return database
