/** A node's slots, tags and limits, set while it runs. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import { Problem } from "../../api/client";
import type { NodeNow, NodePatch } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { TextField } from "../../parts/Field";
import { wordsOf } from "../../parts/requests";
import { exactBytes } from "../../parts/amounts";
import { nodes } from "../../store/cluster";
import { toast } from "../../store/toasts";
import { useUnsaved } from "../../store/unsaved";

interface Draft {
  slots: string;
  tags: string;
  download_limit: string;
  upload_limit: string;
}

function draftOf({ heartbeat: beat, wishes }: NodeNow): Draft {
  return {
    slots: wishes.slots == null ? "" : String(wishes.slots),
    tags: wishes.tags == null ? "" : (beat.tags ?? wishes.tags).join(", "),
    download_limit: exactBytes(wishes.download_limit),
    upload_limit: exactBytes(wishes.upload_limit),
  };
}

/** Only what was changed; what is empty is the node's own again. */
function patchOf(draft: Draft, before: Draft): NodePatch {
  const patch: NodePatch = {};
  const isOther = (name: keyof Draft) => draft[name].trim() !== before[name].trim();
  if (isOther("slots")) patch.slots = draft.slots.trim() ? (Number(draft.slots) || (draft.slots as unknown as number)) : null;
  if (isOther("tags")) patch.tags = draft.tags.trim() ? wordsOf(draft.tags) : null;
  if (isOther("download_limit")) patch.download_limit = draft.download_limit.trim() || null;
  if (isOther("upload_limit")) patch.upload_limit = draft.upload_limit.trim() || null;
  return patch;
}

export function NodeSettings({ node, close }: { node: NodeNow; close: () => void }) {
  const before = useSignal(draftOf(node)).peek();
  const draft = useSignal(before);
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const beat = node.heartbeat;
  const ownTags = (beat.own_tags ?? beat.tags ?? []).join(", ");
  const patch = patchOf(draft.value, before);
  const isSame = !Object.keys(patch).length;
  useUnsaved(!isSame);
  const field = (name: keyof Draft) => ({
    value: draft.value[name],
    problem: problem.value?.field.startsWith(name) ? problem.value.message : "",
    onValue: (value: string) => {
      draft.value = { ...draft.peek(), [name]: value };
      problem.value = null;
    },
  });
  const isElsewhere = problem.value && !Object.keys(before).some((name) => problem.value?.field.startsWith(name));
  const save = async (event?: Event) => {
    event?.preventDefault();
    busy.value = true;
    try {
      await calls.changeNode(node.node, patch);
      toast(`${node.node} is set`, "good");
      close();
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    }
    busy.value = false;
    void nodes.refresh();
  };
  return (
    <Dialog
      title={`Settings of ${node.node}`}
      keeps={!isSame}
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Close</Button>
          <Button kind="main" busy={busy.value} disabled={isSame} onClick={() => void save()}>
            Save
          </Button>
        </>
      }
    >
      <form class="form" onSubmit={(event) => void save(event)}>
        <p class="quiet">They hold at once, and whatever restarts. What is left empty is as the node’s own settings say.</p>
        <div class="form-row">
          <TextField label="Slots" inputMode="numeric" placeholder={String(beat.own_slots ?? beat.slots)} help="Downloads at once: 1 to 1,024." {...field("slots")} />
          <TextField label="Tags" placeholder={ownTags || "eu, disk=ssd"} help="All of them, with commas between." {...field("tags")} />
        </div>
        <div class="form-row">
          <TextField label="Download limit" placeholder="no limit" help="Bytes a second, such as 20M." {...field("download_limit")} />
          <TextField label="Upload limit" placeholder="no limit" help="What its torrents may send." {...field("upload_limit")} />
        </div>
        {isElsewhere && (
          <p class="notice bad" role="alert">
            {problem.value?.message}
          </p>
        )}
        <button type="submit" hidden />
      </form>
    </Dialog>
  );
}
