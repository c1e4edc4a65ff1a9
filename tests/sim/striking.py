"""What a fault does to whom; and mending everything when faults stop."""

from collections.abc import Callable, Sequence

from tests.sim.broker.streams import Stream
from tests.sim.faults import LEADER_SHARE, Fault
from tests.sim.loop import Process
from tests.sim.machines import CoordinatorMachine, Machine, NodeMachine, Surroundings
from tests.sim.net import ProcessLink

SILENCED_AFTER_S = 0.0003
"""Times a fault's steps: within ten milliseconds."""


class Fates:
    """Strikes the machines and the broker of one world."""

    def __init__(
        self, around: Surroundings, coordinators: Sequence[CoordinatorMachine], nodes: Sequence[NodeMachine]
    ) -> None:
        self.around = around
        self.loop, self.server, self._note = around.loop, around.server, around.note
        self.coordinators, self.nodes = coordinators, nodes
        self.twins: list[NodeMachine] = []
        self.has_faults = True
        self._writes = 0
        self._at_writes: dict[int, list[Fault]] = {}

    def plan(self, faults: Sequence[Fault]) -> None:
        """Let each strike at its moment."""
        for fault in faults:
            if fault.at_write:
                self._at_writes.setdefault(fault.at_write, []).append(fault)
            else:
                self._later(fault.after_s, self.strike, fault)

    def written(self) -> None:
        """The broker stored or deleted something: the faults that wait for this write strike."""
        self._writes += 1
        for fault in self._at_writes.pop(self._writes, ()):
            if fault.kind == "silence":  # what its answer makes somebody send is to be caught on its way too
                self._later(fault.steps * SILENCED_AFTER_S, self.strike, fault)
            else:
                self.loop.call_soon(self.strike, fault, context=self.loop.nobody.context)

    def _victims(self, kind: str) -> list[Machine]:
        if kind in ("aria2", "disk", "twin", "away"):
            return [machine for machine in self.nodes if machine.is_up]
        if kind == "cut_off":
            return [machine for machine in self.nodes if machine.is_up and any(lane.is_busy for lane in machine.lanes)]
        nodes = [] if kind == "freeze" and not self.around.config.frozen_nodes else [*self.nodes, *self.twins]
        return [machine for machine in [*self.coordinators, *nodes] if machine.is_up]

    def _victim(self, fault: Fault) -> Machine | None:
        leaders = [machine for machine in self.coordinators if machine.leads]
        choice = fault.victim
        if fault.kind in ("crash", "freeze", "cut", "silence") and leaders:
            if choice < LEADER_SHARE:
                return leaders[0]
            choice = (choice - LEADER_SHARE) / (1 - LEADER_SHARE)
        found = self._victims(fault.kind)
        return found[int(choice * len(found))] if found else None

    def _later(self, delay_s: float, do: Callable[..., None], *args: object) -> None:
        self.loop.call_later(delay_s, do, *args, context=self.loop.nobody.context)

    def strike(self, fault: Fault) -> None:
        if not self.has_faults:
            return
        if fault.kind in ("restart", "full", "leaderless"):
            self._strike_broker(fault)
            return
        machine = self._victim(fault)
        if machine is None or machine.process is None or machine.link is None:
            return
        process, link = machine.process, machine.link
        self._note("fates", fault.kind, process.name, round(fault.lasts_s, 2))
        match fault.kind:
            case "crash":
                process.die_soon(fault.steps)
            case "leave":
                machine.stop.set()
            case "freeze":
                process.freeze()
                self._later(fault.lasts_s, self._thaw, process)
            case "cut":
                link.cut()
            case "silence" | "cut_off":
                link.freeze()
                self._later(fault.lasts_s, self._heard_again, link)
            case _:
                assert isinstance(machine, NodeMachine)
                self._strike_node(fault, machine)

    def _strike_node(self, fault: Fault, machine: NodeMachine) -> None:
        match fault.kind:
            case "aria2":
                if machine.lanes and machine.process and machine.process.is_running:
                    lane = machine.lanes[int(fault.lasts_s * 7) % len(machine.lanes)]
                    freeze_s = fault.lasts_s if fault.steps % 2 else 0.0
                    self.loop.call_soon(lane.breaks, freeze_s, context=machine.process.context)
            case "disk":
                machine.disk.is_full = True
                self._later(fault.lasts_s, self._has_room, machine)
            case "away":
                machine.returns_at = self.loop.time() + fault.lasts_s
                machine.stop.set()
            case "twin":
                twin = NodeMachine(self.around, f"{machine.name}-twin{len(self.twins)}", machine.node)
                self.twins.append(twin)
                twin.start()

    def _strike_broker(self, fault: Fault) -> None:
        streams = self.server.jetstream.streams
        stream = streams[("REQUESTS", "TASKS", "EVENTS")[int(fault.victim * 3)]]
        self._note("fates", fault.kind, stream.name, round(fault.lasts_s, 2))
        match fault.kind:
            case "restart" if self.server.is_up:
                self.server.crash()
                self._later(fault.lasts_s, self._start_broker)
            case "full":
                stream.config["max_bytes"] = stream.bytes
                self._later(fault.lasts_s, self._stream_has_room, stream)
            case "leaderless":
                self.server.leaderless.add(stream.name)
                self._later(fault.lasts_s, self.server.leaderless.discard, stream.name)

    def _thaw(self, process: Process) -> None:
        if process.is_frozen:
            self._note("fates", "thaw", process.name)
            process.thaw()

    def _heard_again(self, link: ProcessLink) -> None:
        if link.is_frozen:
            link.thaw()

    def _has_room(self, machine: NodeMachine) -> None:
        machine.disk.is_full = False

    def _stream_has_room(self, stream: Stream) -> None:
        stream.config["max_bytes"] = -1

    def _start_broker(self) -> None:
        if not self.server.is_up:
            self._note("fates", "broker starts")
            self.server.start()

    def mend(self) -> None:
        """Faults stop."""
        self._note("fates", "faults stop")
        self.has_faults = self.server.is_troubled = False
        self._start_broker()
        self.server.leaderless.clear()
        for stream in self.server.jetstream.streams.values():
            self._stream_has_room(stream)
        for twin in self.twins:
            if twin.is_up and twin.process:
                twin.process.die()
        for machine in [*self.coordinators, *self.nodes]:
            if machine.process:
                self._thaw(machine.process)
                machine.process.dies_at = -1
            if machine.link:
                self._heard_again(machine.link)
            if isinstance(machine, NodeMachine):
                self._has_room(machine)
            machine.returns_at = 0.0
            machine.start()
