/** The way in: an API key, kept for this tab's session. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../parts/Button";
import { Command } from "../parts/Copy";
import { TextField } from "../parts/Field";
import { Logo } from "../parts/Icon";
import { whySignedOut } from "../store/key";
import { signIn } from "../store/session";

export function SignIn() {
  const shown = useSignal("");
  const problem = useSignal("");
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector("input")?.focus(), []);

  const enter = async (event: Event) => {
    event.preventDefault();
    const key = shown.value.trim();
    if (!key) {
      problem.value = "Write or paste a key: it begins with dd_.";
      return;
    }
    busy.value = true;
    problem.value = "";
    try {
      await signIn(key);
    } catch (error) {
      problem.value = error instanceof Error ? error.message : String(error);
    } finally {
      busy.value = false;
    }
  };

  return (
    <main class="sign-in">
      <form ref={form} onSubmit={(event) => void enter(event)} noValidate>
        <Logo size={44} />
        <div>
          <h1>Sign in to Downdraft</h1>
          <p class="quiet">With an API key of this cluster.</p>
        </div>
        {whySignedOut.value && (
          <p class="notice" role="status">
            {whySignedOut.value}
          </p>
        )}
        <TextField
          label="API key"
          type="password"
          autocomplete="current-password"
          placeholder="dd_…"
          value={shown.value}
          problem={problem.value}
          help="Kept until this tab is closed, and only here."
          onValue={(value) => {
            shown.value = value;
            problem.value = "";
          }}
        />
        <Button kind="main" type="submit" busy={busy.value}>
          {busy.value ? "Looking …" : "Sign in"}
        </Button>
        <details>
          <summary>Where do I find a key?</summary>
          <p>
            <code>downdraft up</code> prints the first one. On the machine of a cluster that runs already, make one:
          </p>
          <Command text="downdraft key create --scope admin" />
        </details>
      </form>
    </main>
  );
}
