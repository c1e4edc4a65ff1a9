"""What reached the coordinator and was passed over: counted by kind, said in words that people can act on."""

from enum import StrEnum


class Oddity(StrEnum):
    FACT_OF_OLD_ATTEMPT = "fact_of_old_attempt"
    FACT_OF_UNKNOWN_ATTEMPT = "fact_of_unknown_attempt"
    FACT_OF_OTHER_NODE = "fact_of_other_node"
    FACT_OF_ENDED_TASK = "fact_of_ended_task"
    FACT_OF_UNKNOWN_TASK = "fact_of_unknown_task"
    FACT_MISADDRESSED = "fact_misaddressed"
    FACT_UNREADABLE = "fact_unreadable"
    REQUEST_REJECTED = "request_rejected"
    ROW_UNREADABLE = "row_unreadable"
    HEARTBEAT_UNREADABLE = "heartbeat_unreadable"
    HEARTBEAT_MISADDRESSED = "heartbeat_misaddressed"
    CONTROL_UNREADABLE = "control_unreadable"
    POLICY_UNREADABLE = "policy_unreadable"


WORDS: dict[Oddity, str] = {
    Oddity.FACT_OF_OLD_ATTEMPT: "reports of attempts that were over",
    Oddity.FACT_OF_UNKNOWN_ATTEMPT: "reports of attempts that had not begun",
    Oddity.FACT_OF_OTHER_NODE: "reports of nodes that did not hold the task",
    Oddity.FACT_OF_ENDED_TASK: "reports of tasks that had ended",
    Oddity.FACT_OF_UNKNOWN_TASK: "reports of tasks that never were",
    Oddity.FACT_MISADDRESSED: "reports whose text and subject differ",
    Oddity.FACT_UNREADABLE: "reports that could not be read",
    Oddity.REQUEST_REJECTED: "requests that were rejected",
    Oddity.ROW_UNREADABLE: "rows that could not be read",
    Oddity.HEARTBEAT_UNREADABLE: "heartbeats that could not be read",
    Oddity.HEARTBEAT_MISADDRESSED: "heartbeats under another node's name",
    Oddity.CONTROL_UNREADABLE: "commands that could not be read",
    Oddity.POLICY_UNREADABLE: "policies that could not be read",
}

LATE = frozenset({Oddity.FACT_OF_OLD_ATTEMPT, Oddity.FACT_OF_OTHER_NODE, Oddity.FACT_OF_ENDED_TASK})
"""A few of them follow every lost node and every restart: repeats, and news that came too late to matter."""
UNREADABLE = frozenset(
    {
        Oddity.FACT_UNREADABLE,
        Oddity.ROW_UNREADABLE,
        Oddity.HEARTBEAT_UNREADABLE,
        Oddity.CONTROL_UNREADABLE,
    }
)
FALSE = frozenset(
    {
        Oddity.FACT_OF_UNKNOWN_ATTEMPT,
        Oddity.FACT_OF_UNKNOWN_TASK,
        Oddity.FACT_MISADDRESSED,
        Oddity.HEARTBEAT_MISADDRESSED,
    }
)
"""No sound node sends them."""
