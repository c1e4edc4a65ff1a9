/** A new key: made here, told once. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import { BASE, Problem } from "../../api/client";
import type { ApiKey, Scope } from "../../api/types";
import { Button } from "../../parts/Button";
import { Command } from "../../parts/Copy";
import { Dialog } from "../../parts/Dialog";
import { TextField } from "../../parts/Field";
import { SecretDialog } from "../../parts/Secret";
import { me } from "../../store/session";

const ROLES: [role: string, name: string, told: string, scopes: Scope[]][] = [
  ["look", "May look", "Sees the owner’s tasks, events and files.", ["read"]],
  ["submit", "May submit", "Adds and steers the owner’s downloads, too.", ["read", "submit"]],
  ["admin", "Administrator", "Everything, for every owner: nodes, policy and keys as well.", ["read", "submit", "admin"]],
];

export function NewKeyDialog({ close, made }: { close: () => void; made: () => void }) {
  const note = useSignal("");
  const owner = useSignal(me.peek()?.owner ?? "default");
  const role = useSignal("submit");
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const done = useSignal<ApiKey | null>(null);
  const at = (field: string) => (problem.value?.field === field ? problem.value.message : "");
  const make = async (event?: Event) => {
    event?.preventDefault();
    busy.value = true;
    problem.value = null;
    try {
      const scopes = ROLES.find(([each]) => each === role.value)?.[3];
      done.value = await calls.makeKey({ owner: owner.value.trim(), note: note.value.trim(), scopes });
      made();
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    }
    busy.value = false;
  };
  if (done.value?.key) {
    return (
      <SecretDialog title="The new key" secret={done.value.key} what="the key" close={close}>
        <p class="quiet">It opens the gateway at once:</p>
        <Command text={`curl -H "X-API-Key: $KEY" ${BASE}/api/v1/tasks`} />
      </SecretDialog>
    );
  }
  const isElsewhere = problem.value && !["owner", "note"].includes(problem.value.field);
  return (
    <Dialog
      title="New key"
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Close</Button>
          <Button kind="main" busy={busy.value} onClick={() => void make()}>
            Make the key
          </Button>
        </>
      }
    >
      <form class="form" onSubmit={(event) => void make(event)}>
        <TextField label="What it is for" placeholder="nightly mirror on attic" help="Shown in the list; up to 200 characters." problem={at("note")} value={note.value} onValue={(value) => (note.value = value)} />
        <TextField label="Owner" placeholder="default" help="Whose tasks it sees and adds: a-z, 0-9, ‘-’ and ‘_’." problem={at("owner")} value={owner.value} onValue={(value) => (owner.value = value)} />
        <fieldset class="roles">
          <legend>What it may do</legend>
          {ROLES.map(([each, name, told]) => (
            <label key={each} class={role.value === each ? "role on" : "role"}>
              <input type="radio" name="role" checked={role.value === each} onChange={() => (role.value = each)} />
              <span>
                <strong>{name}</strong>
                <small class="quiet">{told}</small>
              </span>
            </label>
          ))}
        </fieldset>
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
