/** All nodes: as tiles where they are few, as a list where they are many. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { NodeNow, NodesNow, UnheardNode } from "../../api/types";
import { Bar } from "../../parts/Bar";
import { Button } from "../../parts/Button";
import { Card, PageHead } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Empty, Skeleton } from "../../parts/Empty";
import { FailedPage } from "../../parts/FailedPage";
import { Choice } from "../../parts/Field";
import { bytes, count, percent, plural, speed } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { Live, Since } from "../../parts/Live";
import { NodeState, nodeStanding } from "../../parts/State";
import { Tags } from "../../parts/Tags";
import { VirtualRows } from "../../parts/VirtualRows";
import { nodes } from "../../store/cluster";
import { isStale } from "../../store/link";
import { useShared } from "../../store/polled";
import { ask, href, route } from "../../store/route";
import { may } from "../../store/session";
import { byWorry, Tile } from "../overview/NodeTiles";
import "./nodes.css";

/** More than these are a list, unless somebody asks otherwise. */
const TILES_USUAL = 48;
/** Drawn at once; the others on demand. */
const TILES_STEP = 60;
const ROW_PX = 56;
const CARD_PX = 78;
const NARROW = matchMedia("(max-width: 760px)");

type Wanted = "all" | "worry" | "closed";
const WORRY = new Set(["trouble", "offline", "set aside"]);
const CLOSED = new Set(["cordoned", "draining", "drained"]);

export function Nodes(_: { id: string }) {
  const { data, problem, refresh } = useShared(nodes);
  const reply = data.value;
  if (!reply) return problem.value ? <FailedPage title="Nodes" problem={problem.value} retry={() => void refresh()} /> : <Skeleton lines={8} />;
  if (!reply.nodes.length && !reply.unheard.length) return <NoNodes />;
  return <Found reply={reply} />;
}

function NoNodes() {
  return (
    <>
      <PageHead title="Nodes" />
      <Card>
        <Empty icon="nodes" title="No node yet">
          <p>A node downloads for the cluster. Start one on any machine that reaches the broker; it shows up here within seconds.</p>
          <Command text="downdraft node --tag big" />
          <p class="quieter">As many as you like, each with tags of its own: tasks ask for them.</p>
        </Empty>
      </Card>
    </>
  );
}

function Found({ reply }: { reply: NodesNow }) {
  const { query } = route.value;
  const wanted = (query.get("show") ?? "all") as Wanted;
  const text = (query.get("text") ?? "").toLowerCase();
  const view = query.get("view") ?? (reply.nodes.length > TILES_USUAL ? "list" : "tiles");
  const found = reply.nodes.filter((node) => isWanted(node, wanted) && matches(node, text)).sort(byWorry);
  return (
    <>
      <PageHead title="Nodes" sub={nodes.isOld.value && !isStale.value ? <Since of={nodes} /> : <Sum reply={reply} />} />
      <div class="node-bar">
        <Choice
          label="Which"
          value={wanted}
          onValue={(value: Wanted) => ask((asked) => (value === "all" ? asked.delete("show") : asked.set("show", value)))}
          options={[
            ["all", `All ${count(reply.nodes.length)}`],
            ["worry", `Trouble ${count(reply.nodes.filter((node) => isWanted(node, "worry")).length)}`],
            ["closed", `Closed ${count(reply.nodes.filter((node) => isWanted(node, "closed")).length)}`],
          ]}
        />
        <div class="search">
          <Icon name="search" size={17} />
          <input
            type="search"
            class="input"
            aria-label="Search nodes by name or tag"
            placeholder="Name or tag …"
            value={query.get("text") ?? ""}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => {
              const value = event.currentTarget.value;
              ask((asked) => (value ? asked.set("text", value) : asked.delete("text")));
            }}
          />
        </div>
        <Choice
          label="Shown as"
          value={view}
          onValue={(value) => ask((asked) => asked.set("view", value))}
          options={[
            ["tiles", "Tiles"],
            ["list", "List"],
          ]}
        />
      </div>
      {!found.length ? <NoMatch wanted={wanted} text={text} /> : view === "list" ? <List found={found} /> : <Tiles found={found} />}
      {reply.unheard.length > 0 && wanted !== "worry" && <Unheard unheard={reply.unheard} />}
    </>
  );
}

const isWanted = (node: NodeNow, wanted: Wanted): boolean =>
  wanted === "all" || (wanted === "worry" ? WORRY : CLOSED).has(nodeStanding(node)) || (wanted === "closed" && Boolean(node.wishes.paused));

const matches = (node: NodeNow, text: string): boolean =>
  !text || node.node.includes(text) || (node.heartbeat.tags ?? []).some((tag) => tag.toLowerCase().includes(text));

function Sum({ reply }: { reply: NodesNow }) {
  const online = reply.nodes.filter((node) => node.online);
  const sum = (of: (node: NodeNow) => number) => online.reduce((total, node) => total + of(node), 0);
  return (
    <Live of={nodes}>
      {count(online.length)} of {count(reply.nodes.length)} online · {count(sum((node) => node.heartbeat.running))} of{" "}
      {plural(sum((node) => node.heartbeat.slots), "slot")} in use · {speed(sum((node) => node.heartbeat.bytes_per_s ?? 0))}
    </Live>
  );
}

function NoMatch({ wanted, text }: { wanted: Wanted; text: string }) {
  const isWell = wanted === "worry" && !text;
  return (
    <Card>
      <Empty icon={isWell ? "check" : "search"} title={isWell ? "No node is in trouble" : "No node matches"}>
        <Button small onClick={() => ask((asked) => (asked.delete("show"), asked.delete("text")))}>
          Show all nodes
        </Button>
      </Empty>
    </Card>
  );
}

function Tiles({ found }: { found: NodeNow[] }) {
  const most = useSignal(TILES_STEP);
  return (
    <section class="node-tiles" aria-label="Nodes">
      <ul>
        {found.slice(0, most.value).map((node) => (
          <li key={node.node}>
            <Tile node={node} />
          </li>
        ))}
      </ul>
      {found.length > most.value && (
        <p>
          <Button onClick={() => (most.value += TILES_STEP)}>Show more: {count(found.length - most.value)} are left</Button>
        </p>
      )}
    </section>
  );
}

function List({ found }: { found: NodeNow[] }) {
  const isNarrow = useSignal(NARROW.matches);
  useEffect(() => {
    const fit = () => (isNarrow.value = NARROW.matches);
    NARROW.addEventListener("change", fit);
    return () => NARROW.removeEventListener("change", fit);
  }, []);
  return (
    <section class="card node-table" role="table" aria-label="Nodes" aria-rowcount={found.length + 1}>
      <div role="rowgroup">
        <div class="node-row node-head" role="row">
          {["Node", "State", "Speed", "Slots", "CPU", "Memory", "Disk free", "Tags"].map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
        </div>
      </div>
      <VirtualRows count={found.length} rowHeight={isNarrow.value ? CARD_PX : ROW_PX} version={found} onShow={() => {}} row={(index) => found[index] && <Row key={found[index].node} node={found[index]} />} />
    </section>
  );
}

function Row({ node }: { node: NodeNow }) {
  const beat = node.heartbeat;
  const told = (text: string) => <Live of={nodes}>{node.online ? text : "—"}</Live>;
  return (
    <div class={`node-row${node.online ? "" : " off"}${nodes.isOld.value ? " old" : ""}`} role="row">
      <span role="cell" class="clip">
        <a href={href("nodes", node.node)} title={node.node}>
          {node.node}
        </a>
      </span>
      <span role="cell">
        <NodeState standing={nodeStanding(node)} />
      </span>
      <span role="cell" class="number cell-speed">
        {told(speed(beat.bytes_per_s ?? 0))}
      </span>
      <span role="cell" class="cell-slots number">
        {told(`${Math.min(beat.running, beat.slots)} of ${beat.slots}`)}
        <Bar value={node.online ? percent(beat.running, beat.slots) : 0} label={`Slots in use at ${node.node}`} thin />
      </span>
      <span role="cell" class="number">
        {told(`${Math.round(beat.cpu_percent ?? 0)} %`)}
      </span>
      <span role="cell" class="number">
        {told(bytes(beat.memory_bytes ?? 0))}
      </span>
      <span role="cell" class="number">
        {told(bytes(beat.disk_free_bytes ?? 0))}
      </span>
      <span role="cell" class="cell-tags">
        {beat.tags && beat.tags.length > 0 && <Tags tags={beat.tags} most={2} />}
      </span>
    </div>
  );
}

/** Decided about, but not heard: they may come yet. */
function Unheard({ unheard }: { unheard: UnheardNode[] }) {
  return (
    <Card title="Not heard, but decided about" aside={count(unheard.length)} flush class="unheard">
      <ul class="lines">
        {unheard.map((node) => (
          <li key={node.node}>
            <a class="clip" href={href("nodes", node.node)}>
              {node.node}
            </a>
            <span class="quiet">
              {node.assigned ? `${plural(node.assigned, "task")} stand there · ` : ""}
              {node.wishes.draining ? "to be emptied" : node.wishes.cordoned ? "closed" : "set up"}
              {node.wishes.reason && `: ${node.wishes.reason}`}
            </span>
          </li>
        ))}
      </ul>
      {may("admin") && <p class="quieter padded-line">Open a node again to forget what was decided about it.</p>}
    </Card>
  );
}
