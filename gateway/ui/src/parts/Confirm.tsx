/** Asked before what can't be taken back. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Button } from "./Button";
import { Dialog } from "./Dialog";

interface ConfirmProps {
  title: string;
  /** The word on the button that does it. */
  verb: string;
  bad?: boolean;
  onClose: () => void;
  /** Answers whether it was done. */
  run: () => Promise<boolean>;
  children: ComponentChildren;
}

export function Confirm({ title, verb, bad, onClose, run, children }: ConfirmProps) {
  const busy = useSignal(false);
  const confirm = async () => {
    busy.value = true;
    const done = await run();
    busy.value = false;
    if (done) onClose();
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Keep as it is</Button>
          <Button kind={bad ? "bad" : "main"} busy={busy.value} onClick={() => void confirm()}>
            {verb}
          </Button>
        </>
      }
    >
      <div class="form">{children}</div>
    </Dialog>
  );
}
