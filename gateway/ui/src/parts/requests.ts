/** From what somebody writes or drops to download requests. Pure, but for reading files. */
import type { DownloadRequest } from "../api/types";

export interface Draft {
  text: string;
  files: DroppedFile[];
  name: string;
  dir: string;
  tags: string;
  priority: number;
  checksum: string;
  labels: string;
  limit: string;
  split: string;
  userAgent: string;
  options: string;
}

export interface DroppedFile {
  name: string;
  kind: "torrent" | "metalink";
  base64: string;
}

export const EMPTY: Draft = {
  text: "",
  files: [],
  name: "",
  dir: "",
  tags: "",
  priority: 0,
  checksum: "",
  labels: "",
  limit: "",
  split: "",
  userAgent: "",
  options: "",
};

/** A line is a download; several addresses in one are mirrors of the same file. A line with # before it is a remark. */
export function linesOf(text: string): string[][] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(/\s+/));
}

export function requestsOf(draft: Draft): DownloadRequest[] {
  const common = commonOf(draft);
  const ofFiles = draft.files.map(({ kind, base64, name }) => ({ ...common, [kind]: base64, name: name.replace(/\.[^.]+$/, "") }));
  const ofLines = linesOf(draft.text).map((uris) => ({ ...common, uris }));
  const all: DownloadRequest[] = [...ofFiles, ...ofLines];
  const [only] = all;
  if (all.length === 1 && only) {
    if (draft.name.trim()) only.name = draft.name.trim();
    if (draft.checksum.trim()) only.checksum = checksumOf(draft.checksum);
  }
  return all;
}

function commonOf(draft: Draft): DownloadRequest {
  const common: DownloadRequest = {};
  const tags = wordsOf(draft.tags);
  const labels = pairsOf(draft.labels.split(/[\n,]/));
  const options = optionsOf(draft);
  if (tags.length) common.tags = tags;
  if (draft.dir.trim()) common.dir = draft.dir.trim();
  if (draft.priority) common.priority = draft.priority;
  if (Object.keys(labels).length) common.labels = labels;
  if (Object.keys(options).length) common.options = options;
  return common;
}

function optionsOf(draft: Draft): Record<string, string> {
  const options = pairsOf(draft.options.split("\n"));
  if (draft.limit.trim()) options["max-download-limit"] = draft.limit.trim();
  if (draft.split.trim()) options["split"] = draft.split.trim();
  if (draft.userAgent.trim()) options["user-agent"] = draft.userAgent.trim();
  return options;
}

/** A bare digest says by its length what it is. */
export function checksumOf(text: string): string {
  const bare = text.trim();
  if (!/^[0-9a-f]+$/i.test(bare)) return bare;
  const type = { 32: "md5", 40: "sha-1", 56: "sha-224", 64: "sha-256", 96: "sha-384", 128: "sha-512" }[bare.length];
  return type ? `${type}=${bare.toLowerCase()}` : bare;
}

export const wordsOf = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

export function pairsOf(parts: string[]): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const part of parts) {
    const [name = "", ...value] = part.split("=");
    if (name.trim()) pairs[name.trim()] = value.join("=").trim();
  }
  return pairs;
}

/** Texts become lines, torrents and metalinks are taken whole. Throws Error for what is neither. */
export async function readDropped(files: Iterable<File>): Promise<{ text: string; files: DroppedFile[] }> {
  const found: DroppedFile[] = [];
  const lines: string[] = [];
  for (const file of files) {
    const ending = file.name.toLowerCase().split(".").pop() ?? "";
    if (file.size > BYTES_MAX) throw new Error(`${file.name} is too large: ${Math.round(BYTES_MAX / 2 ** 20)} MiB are the most.`);
    if (ending === "torrent") found.push({ name: file.name, kind: "torrent", base64: await base64Of(file) });
    else if (ending === "metalink" || ending === "meta4") found.push({ name: file.name, kind: "metalink", base64: await base64Of(file) });
    else if (ending === "txt" || ending === "list" || file.type.startsWith("text/")) lines.push(await file.text());
    else throw new Error(`${file.name} is no list of addresses (.txt), torrent (.torrent) or metalink (.meta4, .metalink).`);
  }
  return { text: lines.join("\n"), files: found };
}

const BYTES_MAX = 20 * 2 ** 20;

function base64Of(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",", 2)[1] ?? "");
    reader.onerror = () => reject(new Error(`${file.name} can’t be read.`));
    reader.readAsDataURL(file);
  });
}

/** The lines of a field with one more for an option, unless it has one. Pure. */
export function withOption(lines: string, name: string): string {
  const before = lines.trimEnd();
  return before.split("\n").some((line) => line.startsWith(`${name}=`)) ? lines : `${before}${before && "\n"}${name}=`;
}
