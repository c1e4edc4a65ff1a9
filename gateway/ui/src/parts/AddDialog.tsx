/** Adding downloads: addresses by the line, files dropped, and what is to hold for all of them. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { submit } from "../api/calls";
import { Problem } from "../api/client";
import type { BatchResult } from "../api/types";
import { may } from "../store/session";
import { toast } from "../store/toasts";
import { useUnsaved } from "../store/unsaved";
import { Button, IconButton } from "./Button";
import { Dialog } from "./Dialog";
import "./add-dialog.css";
import { Select, TextArea, TextField } from "./Field";
import { plural } from "./format";
import { Icon } from "./Icon";
import { OptionHelp } from "./OptionHelp";
import { EMPTY, linesOf, readDropped, requestsOf, withOption, type Draft } from "./requests";

export function AddButton() {
  const isOpen = useSignal(false);
  if (!may("submit")) return null;
  return (
    <>
      <Button kind="main" icon="plus" onClick={() => (isOpen.value = true)}>
        Add downloads
      </Button>
      {isOpen.value && <AddDialog close={() => (isOpen.value = false)} />}
    </>
  );
}

const PRIORITIES: [string, string][] = [
  ["10", "Highest (10)"],
  ["5", "High (5)"],
  ["0", "Normal (0)"],
  ["-5", "Low (−5)"],
  ["-10", "Lowest (−10)"],
];

interface Refused {
  what: string;
  why: string;
}

const newKey = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** More refusals than anybody reads. */
const SHOWN_MAX = 20;

function AddDialog({ close }: { close: () => void }) {
  const draft = useSignal<Draft>(EMPTY);
  const problem = useSignal("");
  const refused = useSignal<Refused[]>([]);
  const busy = useSignal(false);
  const isOver = useSignal(false);
  const picker = useRef<HTMLInputElement>(null);
  // The same for each try until an answer came: what went through without one is not added twice, whatever else is
  // changed meanwhile, for each request is known by the key and by what it says itself.
  const repeatKey = useRef("");
  const now = draft.value;
  const count = linesOf(now.text).length + now.files.length;
  useUnsaved(count > 0);
  const set = (change: Partial<Draft>) => {
    draft.value = { ...draft.peek(), ...change };
    problem.value = "";
  };

  const take = async (files: Iterable<File>) => {
    try {
      const found = await readDropped(files);
      const text = [now.text.trim(), found.text.trim()].filter(Boolean).join("\n");
      set({ text, files: [...now.files, ...found.files] });
    } catch (error) {
      problem.value = (error as Error).message;
    }
  };

  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    // Wherever it is dropped: beside the dialog a browser would leave the page for the file.
    const ending = new AbortController();
    const on = { signal: ending.signal };
    const over = (event: DragEvent, is: boolean) => {
      event.preventDefault();
      isOver.value = is;
    };
    addEventListener("dragover", (event) => over(event, true), on);
    addEventListener("dragleave", (event) => over(event, false), on);
    addEventListener(
      "drop",
      (event) => {
        over(event, false);
        void latest.current(event.dataTransfer?.files ?? []);
      },
      on,
    );
    return () => ending.abort();
  }, []);

  const add = async () => {
    const requests = requestsOf(now);
    if (!requests.length) {
      problem.value = "Write an address, or drop a file.";
      return;
    }
    busy.value = true;
    refused.value = [];
    try {
      const done = await submit(requests, (repeatKey.current ||= newKey()));
      if (done.accepted) repeatKey.current = "";
      if (!done.refused) {
        toast(`${plural(done.accepted, "download")} added`, "good");
        close();
        return;
      }
      if (done.accepted) toast(`${plural(done.accepted, "download")} added, ${done.refused} refused`);
      keepRefused(done);
    } catch (error) {
      problem.value = error instanceof Problem ? error.message : String(error);
    } finally {
      busy.value = false;
    }
  };

  /** What was refused stays to be mended. */
  const keepRefused = (done: BatchResult) => {
    const bad = done.results.filter((result) => !result.ok);
    const lines = linesOf(now.text);
    const indexes = new Set(bad.map((result) => result.index));
    set({
      files: now.files.filter((_, index) => indexes.has(index)),
      text: lines.filter((_, index) => indexes.has(index + now.files.length)).map((uris) => uris.join(" ")).join("\n"),
    });
    const nameOf = (index: number) => (index < now.files.length ? now.files[index]?.name : lines[index - now.files.length]?.join(" ")) ?? "";
    refused.value = bad.slice(0, SHOWN_MAX).map((result) => ({ what: nameOf(result.index), why: (result.error ?? "refused").replace(/^uris\[\d+\]: /, "") }));
  };

  return (
    <Dialog
      title="Add downloads"
      wide
      keeps={count > 0}
      onClose={close}
      foot={
        <>
          <Button onClick={close}>Close</Button>
          <Button kind="main" busy={busy.value} disabled={!count} onClick={() => void add()}>
            {count > 1 ? `Add ${plural(count, "download")}` : "Add download"}
          </Button>
        </>
      }
    >
      <div class={isOver.value ? "form add over" : "form add"}>
        <TextArea
          label="Addresses"
          help="One download a line: http, https, ftp, sftp or magnet. Several addresses in a line are mirrors of one file."
          problem={problem.value}
          rows={5}
          value={now.text}
          placeholder={"https://example.org/debian.iso\nhttps://example.org/big.tar https://mirror.example/big.tar"}
          onValue={(text) => set({ text })}
        />
        <div class="add-files">
          <Button small icon="upload" onClick={() => picker.current?.click()}>
            Choose files
          </Button>
          <span class="quieter">or drop them here: lists of addresses, torrents, metalinks</span>
          <input ref={picker} type="file" multiple hidden accept=".txt,.list,.torrent,.metalink,.meta4" onChange={(event) => void take(event.currentTarget.files ?? [])} />
        </div>
        {now.files.length > 0 && (
          <ul class="add-chosen">
            {now.files.map((file, index) => (
              <li key={`${file.name}${index}`}>
                <Icon name="file" size={16} />
                <span class="clip">{file.name}</span>
                <IconButton icon="close" label={`Remove ${file.name}`} onClick={() => set({ files: now.files.filter((each) => each !== file) })} />
              </li>
            ))}
          </ul>
        )}
        {refused.value.length > 0 && (
          <div class="notice bad" role="alert">
            <strong>These were refused; mend them and add again:</strong>
            <ul>
              {refused.value.map(({ what, why }, index) => (
                <li key={index}>
                  <span class="mono breakable">{what}</span>: {why}
                </li>
              ))}
            </ul>
          </div>
        )}
        <div class="form-row">
          <TextField label="Tags" placeholder="eu, disk=ssd" help="Only nodes with all of them." value={now.tags} onValue={(tags) => set({ tags })} />
          <Select label="Priority" value={String(now.priority)} options={PRIORITIES} onValue={(value) => set({ priority: Number(value) })} />
        </div>
        <details class="add-more">
          <summary>More: folder, checksum, labels, limits, aria2 options</summary>
          <div class="form">
            <div class="form-row">
              <TextField label="Folder" placeholder="images/{date}" help="Below the node’s download folder." value={now.dir} onValue={(dir) => set({ dir })} />
              <TextField label="Labels" placeholder="project=mirror, team=web" help="Your own notes, to find them by." value={now.labels} onValue={(labels) => set({ labels })} />
            </div>
            <div class="form-row">
              <TextField label="Name" placeholder="Debian netinst" help="To show to people." disabled={count > 1} value={now.name} onValue={(name) => set({ name })} />
              <TextField label="Checksum" placeholder="sha-256=…" help="What does not match is thrown away." disabled={count > 1} value={now.checksum} onValue={(checksum) => set({ checksum })} />
            </div>
            <div class="form-row">
              <TextField label="Speed limit" placeholder="2M" help="Bytes a second for each; K, M of 1024." value={now.limit} onValue={(limit) => set({ limit })} />
              <TextField label="Connections" inputMode="numeric" placeholder="5" help="To split one file over (1 to 16)." value={now.split} onValue={(split) => set({ split })} />
              <TextField label="User agent" placeholder="as aria2 has it" help="Who the origin is told asks." value={now.userAgent} onValue={(userAgent) => set({ userAgent })} />
            </div>
            <TextArea
              label="Other aria2 options"
              rows={3}
              placeholder={"referer=https://example.org/\nmax-connection-per-server=4"}
              help={
                <>
                  One a line, as <code>name=value</code>. What is not allowed is refused with the reason.
                </>
              }
              value={now.options}
              onValue={(options) => set({ options })}
            />
            <OptionHelp choose={(name) => set({ options: withOption(now.options, name) })} />
          </div>
        </details>
      </div>
    </Dialog>
  );
}
