/** The finished file, from the node where it lies. */
import { useSignal } from "@preact/signals";
import { linkFile } from "../../api/calls";
import { BASE } from "../../api/client";
import type { Task } from "../../api/types";
import { Button, IconButton } from "../../parts/Button";
import { toast } from "../../store/toasts";

/** Throws Problem: the node is away, or the file gone. */
async function download(task: string, path?: string): Promise<void> {
  const link = await linkFile(task, path);
  const anchor = document.createElement("a");
  anchor.href = BASE + link.url;
  anchor.download = link.name;
  anchor.click();
}

function useDownload(task: string, path?: string): [boolean, () => void] {
  const busy = useSignal(false);
  const run = async () => {
    busy.value = true;
    try {
      await download(task, path);
    } catch (error) {
      toast((error as Error).message, "bad");
    } finally {
      busy.value = false;
    }
  };
  return [busy.value, () => void run()];
}

export function FileButton({ task }: { task: Task }) {
  const [busy, run] = useDownload(task.task);
  if (task.files.length > 0) return null; // each has its own, in the list
  return (
    <Button icon="download" kind="main" busy={busy} onClick={run}>
      Download
    </Button>
  );
}

export function OneFileButton({ task, path }: { task: string; path: string }) {
  const [busy, run] = useDownload(task, path);
  return <IconButton icon="download" label={`Download ${path}`} disabled={busy} onClick={run} />;
}
