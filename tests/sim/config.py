"""Worlds to throw dice in: how big, how long, and what goes wrong how often."""

from msgspec import Struct


class Config(Struct, frozen=True, kw_only=True):
    """One kind of schedule. Rates are faults over the whole length of the schedule; seconds are simulated ones."""

    said: str
    coordinators: int = 2
    nodes: int = 2
    slots: int = 2
    tags: tuple[tuple[str, ...], ...] = ()
    """Of the nodes, in turn; none: nodes have no tags, and no request asks for any."""
    tasks: int = 4
    wishes: int = 1
    seconds: float = 12.0
    """Faults and requests come within this time; then all is mended and everything has to end."""
    requests_s: float = 5.0
    """Requests come within the first so many."""
    downloads_s: tuple[float, ...] = (0.05, 0.3, 1.0, 3.0)
    """How long they may take."""
    delay_s: tuple[float, float] = (0.0005, 0.004)
    """Of each frame."""
    limit: int = 0
    """So many downloads at once from each origin, by policy; 0: as many as there are slots."""
    trouble: float = 0.25
    """Share of tasks whose origin makes trouble."""
    crashes: float = 0.0
    leaves: float = 0.0
    """Processes told to stop, as by SIGTERM."""
    freezes: float = 0.0
    freeze_s: tuple[float, float] = (0.5, 16.0)
    frozen_nodes: bool = True
    """Whether nodes freeze too: one whose process alone does can't stop what its aria2c downloads."""
    cuts: float = 0.0
    """Connections that break at once."""
    silences: float = 0.0
    """Connections over which nothing comes through any more, and nobody is told."""
    silence_s: tuple[float, float] = (0.5, 16.0)
    cut_offs: float = 0.0
    """Nodes that download, and over whose connections nothing comes through for longer than they may be silent."""
    cut_off_s: tuple[float, float] = (11.0, 25.0)
    restarts: float = 0.0
    """Of the broker."""
    down_s: tuple[float, float] = (0.1, 4.0)
    lost_answers: float = 0.0
    """Share of stream writes that are done while their answers are lost."""
    refusals: float = 0.0
    """Share of stream writes that are answered with an error that says nothing of their fate, done or not."""
    lost_acks: float = 0.0
    """Share of acks of deliveries that get lost."""
    full: float = 0.0
    """Streams that take nothing for a while."""
    full_s: tuple[float, float] = (0.5, 5.0)
    elections: float = 0.0
    """Streams for which nobody answers for a while."""
    aria2: float = 0.0
    """aria2c daemons that die or freeze."""
    disks: float = 0.0
    """Disks that are full for a while."""
    twins: float = 0.0
    """Second processes under a node id that is taken."""
    away: float = 0.0
    """Nodes told to stop that come back only after a while."""
    away_s: tuple[float, float] = (5.0, 15.0)
    orders: int = 0
    """An operator's: cordon, uncordon, drain, other slots and tags. 0: nodes follow none."""
    lost_beats: float = 0.0
    """Share of heartbeats that get lost."""
    late_beats: float = 0.0
    """Share of heartbeats that come late, and so out of order."""
    late_s: tuple[float, float] = (0.5, 5.0)


CONFIGS: dict[str, Config] = {
    "calm": Config(said="nothing goes wrong but origins", tasks=6, wishes=2),
    "crashes": Config(said="processes die between any two callbacks, and come back", crashes=5, leaves=0.5),
    "freezes": Config(said="processes stand still and go on", freezes=3, seconds=20.0),
    "lone": Config(
        said="the only coordinator stands still for long, and dies",
        coordinators=1,
        crashes=0.7,
        freezes=1.5,
        freeze_s=(11.0, 30.0),
        seconds=30.0,
        requests_s=20.0,
    ),
    "takeovers": Config(
        said="leaders die again and again while nodes are hard to hear",
        crashes=5,
        silences=8,
        silence_s=(3.0, 5.5),
        seconds=36.0,
        requests_s=24.0,
        downloads_s=(8.0, 12.0),
        trouble=0.0,
        wishes=0,
    ),
    "partitions": Config(said="connections break, or fall silent", cuts=4, silences=1.5),
    "storms": Config(
        said="answers and acks are lost, refusals say nothing, the broker restarts",
        lost_answers=0.05,
        refusals=0.05,
        lost_acks=0.1,
        restarts=1,
        elections=1,
        crashes=1.5,
        delay_s=(0.0005, 0.08),
    ),
    "full": Config(
        said="streams and disks are full for a while, and origins fail", full=3, disks=1, crashes=1, trouble=0.8
    ),
    "nodes": Config(
        said="nodes die, their aria2c too, and namesakes turn up", nodes=3, crashes=3, aria2=4, twins=0.7, disks=0.5
    ),
    "all": Config(
        said="a little of everything",
        coordinators=3,
        nodes=3,
        tasks=6,
        wishes=2,
        crashes=3,
        leaves=0.3,
        freezes=1,
        cuts=1.5,
        silences=0.5,
        restarts=0.4,
        elections=0.4,
        lost_answers=0.02,
        refusals=0.02,
        lost_acks=0.03,
        full=0.3,
        aria2=1,
        disks=0.3,
        twins=0.2,
        delay_s=(0.0005, 0.02),
    ),
    "limits": Config(
        said="origins have limits while leaders and nodes die and are cut off",
        coordinators=3,
        nodes=3,
        tasks=14,
        wishes=0,
        limit=1,
        crashes=2,
        freezes=1,
        frozen_nodes=False,
        silences=3,
        silence_s=(3.0, 5.5),
        cut_offs=3,
        lost_answers=0.03,
        refusals=0.02,
        trouble=0.1,
        seconds=50.0,
        requests_s=10.0,
        downloads_s=(0.3, 0.3, 0.6, 30.0),
    ),
    "fleets": Config(
        said="nodes come and go, an operator decides otherwise, and heartbeats lag, get lost and come out of order",
        nodes=3,
        tasks=18,
        wishes=0,
        tags=(("fast", "zone=a"), ("zone=a",), ("fast", "zone=b")),
        crashes=2,
        away=4,
        orders=14,
        lost_beats=0.15,
        late_beats=0.4,
        lost_answers=0.02,
        trouble=0.0,
        seconds=40.0,
        requests_s=32.0,
        downloads_s=(1.0, 3.0, 3.0, 6.0, 25.0),
    ),
    "burst": Config(
        said="many tasks at once over slow links", tasks=14, nodes=2, crashes=1, trouble=0.1, delay_s=(0.001, 0.1)
    ),
}
