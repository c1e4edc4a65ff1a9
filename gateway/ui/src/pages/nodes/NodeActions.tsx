/** What operators can do to a node. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import type { NodeNow } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Check, TextField } from "../../parts/Field";
import { plural } from "../../parts/format";
import { nodeStanding } from "../../parts/State";
import { nodes } from "../../store/cluster";
import { doing } from "../../store/toasts";
import { NodeSettings } from "./NodeSettings";

type Open = "" | "close" | "drain" | "settings";

export function NodeActions({ node }: { node: NodeNow }) {
  const open = useSignal<Open>("");
  const { wishes } = node;
  const isClosed = Boolean(wishes.cordoned || wishes.draining) || nodeStanding(node) === "set aside";
  const run = async (work: Promise<unknown>, done: string) => {
    const went = await doing(work, done);
    await nodes.refresh();
    return went;
  };
  const close = () => (open.value = "");
  return (
    <>
      {isClosed && (
        <Button kind="main" icon="check" onClick={() => void run(calls.uncordon(node.node), `${node.node} is given tasks again`)}>
          Open again
        </Button>
      )}
      {!wishes.cordoned && !wishes.draining && (
        <Button icon="lock" onClick={() => (open.value = "close")}>
          Cordon
        </Button>
      )}
      {!(wishes.draining && wishes.now) && (
        <Button icon="drain" onClick={() => (open.value = "drain")}>
          {wishes.draining ? "Drain now" : "Drain"}
        </Button>
      )}
      {wishes.paused ? (
        <Button icon="play" onClick={() => void run(calls.changeNode(node.node, { paused: false }), `${node.node} goes on`)}>
          Resume
        </Button>
      ) : (
        <Button icon="pause" onClick={() => void run(calls.changeNode(node.node, { paused: true }), `${node.node} is paused`)}>
          Pause
        </Button>
      )}
      <Button icon="edit" onClick={() => (open.value = "settings")}>
        Settings
      </Button>
      {open.value === "close" && <CloseDialog node={node} close={close} run={run} />}
      {open.value === "drain" && <DrainDialog node={node} close={close} run={run} />}
      {open.value === "settings" && <NodeSettings node={node} close={close} />}
    </>
  );
}

interface AskProps {
  node: NodeNow;
  close: () => void;
  run: (work: Promise<unknown>, done: string) => Promise<boolean>;
}

function CloseDialog({ node, close, run }: AskProps) {
  const reason = useSignal("");
  const busy = useSignal(false);
  const cordon = async () => {
    busy.value = true;
    if (await run(calls.cordon(node.node, reason.value.trim()), `${node.node} is given nothing new`)) close();
    busy.value = false;
  };
  return (
    <Dialog
      title={`Cordon ${node.node}`}
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Leave it open</Button>
          <Button kind="main" busy={busy.value} onClick={() => void cordon()}>
            Cordon
          </Button>
        </>
      }
    >
      <div class="form">
        <p class="quiet">It is given nothing new; what it holds goes on. It stays so, whatever restarts, until you open it again.</p>
        <Reason value={reason.value} onValue={(value) => (reason.value = value)} />
      </div>
    </Dialog>
  );
}

function DrainDialog({ node, close, run }: AskProps) {
  const reason = useSignal(node.wishes.reason ?? "");
  const isNow = useSignal(Boolean(node.wishes.draining));
  const busy = useSignal(false);
  const running = node.heartbeat.running;
  const drain = async () => {
    busy.value = true;
    const done = isNow.value ? `${node.node} gives back all it holds` : `${node.node} is being emptied`;
    if (await run(calls.drain(node.node, reason.value.trim(), isNow.value), done)) close();
    busy.value = false;
  };
  return (
    <Dialog
      title={`Drain ${node.node}`}
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Leave it</Button>
          <Button kind="main" busy={busy.value} onClick={() => void drain()}>
            {isNow.value ? "Drain now" : "Drain"}
          </Button>
        </>
      }
    >
      <div class="form">
        <p class="quiet">
          Nothing new goes there, and what waits there goes elsewhere. {running > 0 ? `${plural(running, "download")} run there now.` : "Nothing runs there now."}
        </p>
        <Check
          checked={isNow.value}
          onValue={(checked) => (isNow.value = checked)}
          label={
            <>
              Give back what runs, too
              <small class="quieter">It goes on at another node: from its beginning where the origin can’t resume.</small>
            </>
          }
        />
        <Reason value={reason.value} onValue={(value) => (reason.value = value)} />
      </div>
    </Dialog>
  );
}

function Reason({ value, onValue }: { value: string; onValue: (value: string) => void }) {
  return <TextField label="Why (for your colleagues)" placeholder="new disk at 14:00" help="Up to 200 characters; shown wherever the node is." value={value} onValue={onValue} />;
}
