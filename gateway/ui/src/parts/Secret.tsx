/** What is told once and never again. */
import type { ComponentChildren } from "preact";
import { Button } from "./Button";
import { Command } from "./Copy";
import { Dialog } from "./Dialog";

export function SecretDialog({ title, secret, what, close, children }: { title: string; secret: string; what: string; close: () => void; children?: ComponentChildren }) {
  return (
    <Dialog
      title={title}
      onClose={close}
      foot={
        <Button kind="main" onClick={close}>
          I have kept it
        </Button>
      }
    >
      <div class="form">
        <p class="notice">Copy it now: it is shown this once, and stored nowhere.</p>
        <Command text={secret} what={what} />
        {children}
      </div>
    </Dialog>
  );
}
