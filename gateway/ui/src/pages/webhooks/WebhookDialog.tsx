/** A webhook made or changed. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import { Problem } from "../../api/client";
import type { NewWebhook, Webhook } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { EVENT_TYPES, eventWord } from "../../parts/eventWords";
import { Check, Choice, TextField } from "../../parts/Field";
import { wordsOf } from "../../parts/requests";
import { SecretDialog } from "../../parts/Secret";
import { may } from "../../store/session";
import { toast } from "../../store/toasts";
import { useUnsaved } from "../../store/unsaved";

type Which = "finished" | "all" | "some";
const FIELDS = ["url", "note", "types", "tags", "labels", "owner", "everyone"];

function whichOf(types: readonly string[]): Which {
  if (!types.length) return "all";
  return types.length === 1 && types[0] === "finished" ? "finished" : "some";
}

/** `finished` stands for every outcome. */
const eachOf = (types: readonly string[]): string[] => types.flatMap((type) => (type === "finished" ? EVENT_TYPES.filter((each) => each.startsWith("finished.")) : [type]));

export function WebhookDialog({ of: hook, close, done }: { of?: Webhook; close: () => void; done: () => void }) {
  const url = useSignal(hook?.url ?? "");
  const note = useSignal(hook?.note ?? "");
  const which = useSignal<Which>(whichOf(hook?.types ?? ["finished"]));
  const types = useSignal<string[]>(eachOf(hook?.types ?? ["finished"]));
  const tags = useSignal((hook?.tags ?? []).join(", "));
  const labels = useSignal((hook?.labels ?? []).join(", "));
  const owner = useSignal(hook?.owner ?? "");
  const everyone = useSignal(hook?.everyone ?? false);
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const secret = useSignal("");
  const at = (field: string) => (problem.value?.field.split(/[.[]/)[0] === field ? problem.value.message : "");

  const isWritten = url.value !== (hook?.url ?? "") || note.value !== (hook?.note ?? "");
  useUnsaved(isWritten && !secret.value);

  const save = async (event?: Event) => {
    event?.preventDefault();
    if (which.value === "some" && !types.value.length) {
      problem.value = new Problem(422, "Choose at least one type.", "types");
      return;
    }
    busy.value = true;
    problem.value = null;
    const body: NewWebhook = {
      url: url.value.trim(),
      note: note.value.trim(),
      types: which.value === "all" ? [] : which.value === "finished" ? ["finished"] : types.value,
      tags: wordsOf(tags.value),
      labels: labels.value.split(",").map((each) => each.trim()).filter(Boolean),
    };
    try {
      if (hook) {
        await calls.changeWebhook(hook.id, body);
        toast("The webhook is changed", "good");
        close();
      } else {
        const made = await calls.makeWebhook({ ...body, ...(may("admin") ? { owner: owner.value.trim(), everyone: everyone.value } : {}) });
        secret.value = made.secret ?? "";
      }
      done();
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    }
    busy.value = false;
  };

  if (secret.value) {
    return (
      <SecretDialog title="The webhook’s secret" secret={secret.value} what="the secret" close={close}>
        <p class="quiet">Every request is signed with it, as Standard Webhooks has it: give it to the program that receives them.</p>
      </SecretDialog>
    );
  }
  const isElsewhere = problem.value && !FIELDS.includes(problem.value.field.split(/[.[]/)[0] ?? "");
  return (
    <Dialog
      title={hook ? "Edit the webhook" : "New webhook"}
      keeps={isWritten}
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Close</Button>
          <Button kind="main" busy={busy.value} onClick={() => void save()}>
            {hook ? "Save" : "Make the webhook"}
          </Button>
        </>
      }
    >
      <form class="form" onSubmit={(event) => void save(event)}>
        <TextField label="Address" placeholder="https://hooks.example.org/downloads" help="Any 2xx answer takes an event." problem={at("url")} value={url.value} onValue={(value) => (url.value = value)} />
        <TextField label="What it is for" placeholder="index new mirrors" problem={at("note")} value={note.value} onValue={(value) => (note.value = value)} />
        <div class="field">
          <span class="field-name">Which events</span>
          <Choice
            label="Which events"
            value={which.value}
            onValue={(value: Which) => (which.value = value)}
            options={[
              ["finished", "Outcomes"],
              ["all", "Every event"],
              ["some", "Some"],
            ]}
          />
          {which.value === "some" && (
            <div class="hook-types">
              {EVENT_TYPES.map((type) => (
                <Check
                  key={type}
                  label={eventWord(type)}
                  checked={types.value.includes(type)}
                  onValue={(on) => (types.value = on ? [...types.value, type] : types.value.filter((each) => each !== type))}
                />
              ))}
            </div>
          )}
          {at("types") && <p class="field-problem">{at("types")}</p>}
        </div>
        <div class="form-row">
          <TextField label="Tags" placeholder="eu" help="Only of tasks that ask for all of these." problem={at("tags")} value={tags.value} onValue={(value) => (tags.value = value)} />
          <TextField label="Labels" placeholder="project=mirror" help="Only of tasks that have all of these." problem={at("labels")} value={labels.value} onValue={(value) => (labels.value = value)} />
        </div>
        {may("admin") && !hook && (
          <>
            <Check label="Of everybody’s tasks" checked={everyone.value} onValue={(checked) => (everyone.value = checked)} />
            {!everyone.value && <TextField label="Owner" placeholder="your own" help="Whose events; empty: those of your key’s owner." problem={at("owner")} value={owner.value} onValue={(value) => (owner.value = value)} />}
          </>
        )}
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
