/** Which options of aria2 there are, told by the gateway when somebody asks. A press puts one into the field. */
import { useSignal } from "@preact/signals";
import { allowedOptions } from "../api/calls";
import { Problem } from "../api/client";
import type { AllowedOption } from "../api/types";

/** What stands between backticks is code. Pure. */
const withCode = (text: string) => text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));

interface Props {
  choose: (name: string) => void;
}

export function OptionHelp({ choose }: Props) {
  const found = useSignal<AllowedOption[] | null>(null);
  const failed = useSignal("");

  async function ask(isOpen: boolean): Promise<void> {
    if (!isOpen || found.peek()) return;
    try {
      found.value = (await allowedOptions()).options;
      failed.value = "";
    } catch (error) {
      failed.value = error instanceof Problem ? error.message : String(error);
    }
  }

  return (
    <details class="option-help" onToggle={(event) => void ask(event.currentTarget.open)}>
      <summary>Which options there are</summary>
      {failed.value && <p class="field-problem">{failed.value}</p>}
      <ul>
        {found.value?.map((option) => (
          <li key={option.name}>
            <button type="button" onClick={() => choose(option.name)}>
              <code>{option.name}</code>
            </button>
            <span>{withCode(option.about)}</span>
            <small>
              {option.wants}
              {option.only && `; for ${option.only === "torrent" ? "torrents" : option.only} only`}
            </small>
          </li>
        ))}
      </ul>
    </details>
  );
}
