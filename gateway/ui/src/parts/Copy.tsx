/** Text to take away: a command, an id, a key. */
import { useSignal } from "@preact/signals";
import { toast } from "../store/toasts";
import { Icon } from "./Icon";
import "./copy.css";

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByHand(text); // without https there is no clipboard, or it is not allowed
  }
}

/** As somebody does it: chosen in a field, and the browser told to copy. */
function copyByHand(text: string): boolean {
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "for-readers";
  // Nothing beside an open dialog can be chosen.
  (before?.closest("dialog") ?? document.body).append(field);
  field.focus({ preventScroll: true });
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return done;
}

function useCopied(text: string): [boolean, () => void] {
  const copied = useSignal(false);
  const run = async () => {
    copied.value = await copy(text);
    if (copied.value) setTimeout(() => (copied.value = false), 1600);
    else toast("This browser does not let the page copy: select the text, and copy it yourself", "bad");
  };
  return [copied.value, () => void run()];
}

export function Command({ text, what = "the command" }: { text: string; what?: string }) {
  const [copied, run] = useCopied(text);
  return (
    <div class="command">
      <code tabIndex={0} role="region" aria-label={what}>
        {text}
      </code>
      <button type="button" onClick={run} aria-label={`Copy ${what}`} title="Copy">
        <Icon name={copied ? "check" : "copy"} size={16} />
      </button>
      <span class="for-readers" role="status">
        {copied ? "Copied" : ""}
      </span>
    </div>
  );
}

export function CopyText({ text, what }: { text: string; what: string }) {
  const [copied, run] = useCopied(text);
  return (
    <>
      <button type="button" class="copy-text" onClick={run} title={`Copy ${what}`} aria-label={`Copy ${what} ${text}`}>
        <span class="mono">{text}</span>
        <Icon name={copied ? "check" : "copy"} size={14} />
      </button>
      <span class="for-readers" role="status">
        {copied ? "Copied" : ""}
      </span>
    </>
  );
}
