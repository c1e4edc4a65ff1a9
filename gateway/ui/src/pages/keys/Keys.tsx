/** API keys: who may call, as operators decide. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import type { ApiKey } from "../../api/types";
import { Button } from "../../parts/Button";
import { Card, PageHead } from "../../parts/Card";
import { Confirm } from "../../parts/Confirm";
import { Empty, Failure, Skeleton } from "../../parts/Empty";
import { Check } from "../../parts/Field";
import { ago, dateTime } from "../../parts/format";
import { Badge } from "../../parts/State";
import { now } from "../../store/clock";
import { usePolled } from "../../store/polled";
import { me } from "../../store/session";
import { doing } from "../../store/toasts";
import { NewKeyDialog } from "./NewKeyDialog";
import "./keys.css";

/** Others make keys, too. */
const EVERY_MS = 10_000;

export function Keys(_: { id: string }) {
  const withRevoked = useSignal(false);
  const isMaking = useSignal(false);
  const found = usePolled(() => calls.keys(withRevoked.value), EVERY_MS, [withRevoked.value]);
  const keys = found.data.value;
  return (
    <>
      <PageHead title="API keys" sub="Each belongs to an owner, and sees and steers that owner’s tasks; with “admin”, everybody’s.">
        <Button kind="main" icon="plus" onClick={() => (isMaking.value = true)}>
          New key
        </Button>
      </PageHead>
      <div class="keys-bar">
        <Check label="Show revoked ones" checked={withRevoked.value} onValue={(checked) => (withRevoked.value = checked)} />
      </div>
      {!keys ? (
        found.problem.value ? (
          <Failure problem={found.problem.value} retry={() => void found.refresh()} />
        ) : (
          <Skeleton lines={5} />
        )
      ) : keys.length ? (
        <Card flush>
          <ul class="keys">
            {[...keys].reverse().map((key) => (
              <KeyRow key={key.id} of={key} refresh={found.refresh} />
            ))}
          </ul>
        </Card>
      ) : (
        <Card>
          <Empty icon="keys" title="No key yet" />
        </Card>
      )}
      {isMaking.value && <NewKeyDialog close={() => (isMaking.value = false)} made={() => void found.refresh()} />}
    </>
  );
}

const WORDS: Record<string, string> = { read: "may look", submit: "may submit", admin: "administrator" };

function KeyRow({ of: key, refresh }: { of: ApiKey; refresh: () => Promise<void> }) {
  const isAsking = useSignal(false);
  const isMine = me.value?.key === key.id;
  const name = key.note || `Key ${key.id}`;
  const revoke = async () => {
    const done = await doing(calls.revokeKey(key.id), `${name} opens nothing any more`);
    if (done) await refresh();
    return done;
  };
  return (
    <li class={key.revoked ? "key-row off" : "key-row"}>
      <div class="key-name">
        <strong class="clip" title={name}>
          {name}
        </strong>
        <small class="quieter">
          <code>dd_{key.id}_…</code> · made <span title={dateTime(key.created)}>{ago(key.created, now.value)}</span>
        </small>
      </div>
      <div class="key-owner">
        <span class="clip" title={key.owner}>
          {key.owner}
        </span>
        <small class="quieter">owner</small>
      </div>
      <div class="key-scopes">
        {(key.scopes.includes("admin") ? ["admin"] : key.scopes).map((scope) => (
          <span key={scope} class={scope === "admin" ? "tag scope admin" : "tag scope"}>
            {WORDS[scope] ?? scope}
          </span>
        ))}
      </div>
      <div class="key-end">
        {key.revoked ? (
          <span title={dateTime(key.revoked)}>
            <Badge tone="idle">revoked</Badge>
          </span>
        ) : (
          <>
            {isMine && <Badge tone="good">yours, now</Badge>}
            <Button small onClick={() => (isAsking.value = true)}>
              Revoke
            </Button>
          </>
        )}
      </div>
      {isAsking.value && (
        <Confirm title={`Revoke ${name}?`} verb="Revoke" bad onClose={() => (isAsking.value = false)} run={revoke}>
          <p>Whoever uses it is refused within two seconds, at every gateway; event streams that are open end. It can’t be taken back: make a new one instead.</p>
          {isMine && <p class="notice bad">This is the key that you are signed in with: you will be signed out.</p>}
        </Confirm>
      )}
    </li>
  );
}
