/** Webhooks: where events are sent, how that goes, and changing it. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import { BASE } from "../../api/client";
import type { Webhook } from "../../api/types";
import { Button } from "../../parts/Button";
import { Card, PageHead } from "../../parts/Card";
import { Confirm } from "../../parts/Confirm";
import { Command } from "../../parts/Copy";
import { Empty, Failure, Skeleton } from "../../parts/Empty";
import { eventWord } from "../../parts/eventWords";
import { ago, count, dateTime, roughly, sentence } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { Menu, type MenuItem } from "../../parts/Menu";
import { SecretDialog } from "../../parts/Secret";
import { Badge } from "../../parts/State";
import { Tags } from "../../parts/Tags";
import { now } from "../../store/clock";
import { usePolled } from "../../store/polled";
import { may } from "../../store/session";
import { doing, toast } from "../../store/toasts";
import { WebhookDialog } from "./WebhookDialog";
import "./webhooks.css";

const EVERY_MS = 4000;

export function Webhooks(_: { id: string }) {
  const isMaking = useSignal(false);
  const found = usePolled(calls.webhooks, EVERY_MS);
  const all = found.data.value;
  return (
    <>
      <PageHead title="Webhooks" sub="Each event is sent as a signed POST: in order, at least once, and again until it is taken.">
        {may("submit") && (
          <Button kind="main" icon="plus" onClick={() => (isMaking.value = true)}>
            New webhook
          </Button>
        )}
      </PageHead>
      {!all ? (
        found.problem.value ? (
          <Failure problem={found.problem.value} retry={() => void found.refresh()} />
        ) : (
          <Skeleton lines={5} />
        )
      ) : all.length ? (
        <ul class="hooks">
          {all.map((hook) => (
            <li key={hook.id}>
              <Hook hook={hook} refresh={found.refresh} />
            </li>
          ))}
        </ul>
      ) : (
        <Card>
          <Empty icon="webhooks" title="No webhook yet">
            <p>Have another program told when a download ends. {may("submit") ? "Make one here, or from a terminal:" : "Somebody whose key may submit can make one:"}</p>
            <Command text={`curl -H "X-API-Key: $KEY" ${BASE}/api/v1/webhooks -d '{"url": "https://hooks.example.org/downloads"}'`} />
          </Empty>
        </Card>
      )}
      {isMaking.value && <WebhookDialog close={() => (isMaking.value = false)} done={() => void found.refresh()} />}
    </>
  );
}

function Hook({ hook, refresh }: { hook: Webhook; refresh: () => Promise<void> }) {
  const isEditing = useSignal(false);
  const isDeleting = useSignal(false);
  const secret = useSignal("");
  const run = async (work: Promise<unknown>, done: string) => {
    const went = await doing(work, done);
    await refresh();
    return went;
  };
  const renew = async () => {
    try {
      secret.value = (await calls.changeWebhook(hook.id, { new_secret: true })).secret ?? "";
    } catch (error) {
      toast((error as Error).message, "bad");
    }
  };
  const items: MenuItem[] = [
    { label: "Edit", icon: "edit", run: () => (isEditing.value = true) },
    { label: "New secret", icon: "keys", run: () => void renew() },
    { label: "Delete", icon: "trash", bad: true, run: () => (isDeleting.value = true) },
  ];
  return (
    <Card class={hook.enabled ? "hook" : "hook off"}>
      <div class="hook-head">
        <div class="hook-name">
          <h2 class="breakable">{hook.note || hook.url}</h2>
          {hook.note && <p class="quiet mono breakable">{hook.url}</p>}
        </div>
        <Standing hook={hook} />
        {may("submit") && (
          <div class="hook-actions">
            <Button
              small
              icon={hook.enabled ? "pause" : "play"}
              kind={hook.enabled ? "plain" : "main"}
              onClick={() => void run(calls.changeWebhook(hook.id, { enabled: !hook.enabled }), hook.enabled ? "Nothing is sent there until it is enabled" : "It goes on where it stopped")}
            >
              {hook.enabled ? "Disable" : "Enable"}
            </Button>
            <Menu label={`More for ${hook.note || hook.url}`} items={items}>
              <Icon name="more" size={18} />
            </Menu>
          </div>
        )}
      </div>
      <Trouble hook={hook} />
      <dl class="hook-facts">
        <div>
          <dt class="quieter">Delivered</dt>
          <dd class="number">
            {count(hook.delivered)}
            {hook.last_delivered && <small class="quieter"> last {ago(hook.last_delivered, now.value)}</small>}
          </dd>
        </div>
        <div>
          <dt class="quieter">Given up</dt>
          <dd class={hook.passed_over ? "number bad-text" : "number"}>{count(hook.passed_over)}</dd>
        </div>
        <div>
          <dt class="quieter">Sends</dt>
          <dd>{hook.types.length ? hook.types.map(typeWord).join(", ") : "every event"}</dd>
        </div>
        <div>
          <dt class="quieter">Of</dt>
          <dd class="breakable">{hook.everyone ? "everybody’s tasks" : `${hook.owner}’s tasks`}</dd>
        </div>
        {hook.tags.length + hook.labels.length > 0 && (
          <div>
            <dt class="quieter">Only with</dt>
            <dd>
              <Tags tags={[...hook.tags, ...hook.labels]} most={6} />
            </dd>
          </div>
        )}
        <div>
          <dt class="quieter">Made</dt>
          <dd title={dateTime(hook.created)}>{ago(hook.created, now.value)}</dd>
        </div>
      </dl>
      {isEditing.value && <WebhookDialog of={hook} close={() => (isEditing.value = false)} done={() => void refresh()} />}
      {isDeleting.value && (
        <Confirm title="Delete this webhook?" verb="Delete" bad onClose={() => (isDeleting.value = false)} run={() => run(calls.deleteWebhook(hook.id), "The webhook is deleted")}>
          <p class="breakable">
            Nothing is sent to <strong>{hook.url}</strong> any more, and what was not sent yet never will be. To stop for a while, disable it instead.
          </p>
        </Confirm>
      )}
      {secret.value && (
        <SecretDialog title="The new secret" secret={secret.value} what="the secret" close={() => (secret.value = "")}>
          <p class="quiet">Everything is signed with it from now on: put it into the receiver before anything else happens.</p>
        </SecretDialog>
      )}
    </Card>
  );
}

export const typeWord = (type: string): string => (type === "finished" ? "all outcomes" : eventWord(type).toLowerCase());

function Standing({ hook }: { hook: Webhook }) {
  if (!hook.enabled) return <Badge tone="idle">disabled</Badge>;
  if (hook.failing_since) return <Badge tone="bad">{`failing for ${roughly((now.value - new Date(hook.failing_since).getTime()) / 1000)}`}</Badge>;
  return <Badge tone="good">{hook.delivered ? "delivering" : "ready"}</Badge>;
}

function Trouble({ hook }: { hook: Webhook }) {
  if (!hook.enabled) return <p class="notice info">Nothing is sent: {sentence(hook.why_disabled || "it was stopped")} Enabled again, it goes on where it stopped, without a gap as far as the log goes back.</p>;
  if (!hook.problem) return null;
  return (
    <p class="notice bad breakable">
      {sentence(hook.problem)} It is tried again with growing pauses; what is answered by errors for 5 minutes is given up.
    </p>
  );
}
