"""The wire contract: every message, id, subject and rule that processes share. No I/O, no clock, no dice."""

__version__ = "0.1.0"
