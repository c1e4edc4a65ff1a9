/** The policy as it is being edited: text in fields, rows in lists. Pure. */
import { exactBytes } from "../../parts/amounts";

export interface Row {
  /** Stays the same while the row is edited. */
  id: number;
  name: string;
  /** By field; empty where it is left out. */
  values: Record<string, string>;
}

export interface Draft {
  strategy: string;
  spread_tag: string;
  pack_bandwidth: string;
  pack_disk: string;
  owners: Row[];
  origins: Row[];
  windows: { id: number; text: string }[];
  time_zone: string;
  options: Row[];
}

export type Values = Record<string, unknown>;
type Part = Record<string, Record<string, unknown>>;

const USUAL_STRATEGY = "least-loaded";
/** Stands for all without an entry of their own: shown last. */
const OTHERS = "*";
const USUAL_ZONE = "UTC";
export const USUAL_PACK = { bandwidth: 0.7, disk: 0.3 };

let last = 0;
export const row = (name = "", values: Record<string, string> = {}): Row => ({ id: ++last, name, values });
export const windowRow = (text = "") => ({ id: ++last, text });

export function draftOf(policy: Values): Draft {
  const pack = { ...USUAL_PACK, ...(policy["bin_pack_weights"] as object) };
  const rows = (part: unknown) =>
    Object.entries((part ?? {}) as Part)
      .sort(([one], [other]) => Number(one === OTHERS) - Number(other === OTHERS))
      .map(([name, values]) => row(name, textOf(values)));
  return {
    strategy: String(policy["strategy"] ?? USUAL_STRATEGY),
    spread_tag: String(policy["spread_tag"] ?? ""),
    pack_bandwidth: String(pack.bandwidth),
    pack_disk: String(pack.disk),
    owners: rows(policy["owners"]),
    origins: rows(policy["origins"]),
    windows: ((policy["bandwidth"] ?? []) as string[]).map(windowRow),
    time_zone: String(policy["time_zone"] ?? USUAL_ZONE),
    options: Object.entries((policy["options"] ?? {}) as Values).map(([name, value]) => row(name, { value: String(value) })),
  };
}

function textOf(values: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, name === "bytes_per_s" ? exactBytes(value as number | string) : String(value ?? "")]),
  );
}

/** What the gateway is sent. What is at its default is left out; what is no number goes as it is, to be refused in words. */
export function policyOf(draft: Draft): Values {
  const policy: Values = {};
  if (draft.strategy !== USUAL_STRATEGY) policy["strategy"] = draft.strategy;
  if (draft.spread_tag.trim()) policy["spread_tag"] = draft.spread_tag.trim();
  const pack = { bandwidth: numberOr(draft.pack_bandwidth), disk: numberOr(draft.pack_disk) };
  if (pack.bandwidth !== USUAL_PACK.bandwidth || pack.disk !== USUAL_PACK.disk) policy["bin_pack_weights"] = pack;
  put(policy, "owners", entries(draft.owners, numberOr));
  put(policy, "origins", entries(draft.origins, (text, name) => (name === "bytes_per_s" ? text : numberOr(text))));
  const windows = draft.windows.map(({ text }) => text.trim()).filter(Boolean);
  if (windows.length) policy["bandwidth"] = windows;
  if (draft.time_zone.trim() !== USUAL_ZONE) policy["time_zone"] = draft.time_zone.trim();
  put(policy, "options", Object.fromEntries(draft.options.filter(isNamed).map(({ name, values }) => [name.trim(), values["value"]?.trim() ?? ""])));
  return policy;
}

const isNamed = ({ name }: Row): boolean => name.trim() !== "";

function entries(rows: Row[], read: (text: string, field: string) => unknown): Values {
  return Object.fromEntries(
    rows.filter(isNamed).map(({ name, values }) => {
      const given = Object.entries(values).filter(([, text]) => text.trim());
      return [name.trim(), Object.fromEntries(given.map(([field, text]) => [field, read(text.trim(), field)]))];
    }),
  );
}

function put(policy: Values, name: string, part: Values): void {
  if (Object.keys(part).length) policy[name] = part;
}

function numberOr(text: string): unknown {
  const value = Number(text.trim());
  return text.trim() && Number.isFinite(value) ? value : text;
}

/** Names that stand twice in a list, which the policy can't say. */
export function repeated(rows: Row[]): string {
  const names = rows.map(({ name }) => name.trim()).filter(Boolean);
  return names.find((name, index) => names.indexOf(name) !== index) ?? "";
}

export interface Change {
  where: string;
  before: string;
  after: string;
}

/** Field by field what differs. */
export function changes(before: Values, after: Values): Change[] {
  const one = flat(before);
  const other = flat(after);
  return [...new Set([...one.keys(), ...other.keys()])]
    .filter((where) => one.get(where) !== other.get(where))
    .map((where) => ({ where, before: one.get(where) ?? "", after: other.get(where) ?? "" }));
}

function flat(value: unknown, where = "", found = new Map<string, string>()): Map<string, string> {
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const parts = Object.entries(value);
    if (!parts.length && where) found.set(where, "{}");
    for (const [name, part] of parts) flat(part, where ? `${where}.${name}` : name, found);
  } else if (where) {
    found.set(where, Array.isArray(value) ? value.join("; ") : /bytes_per_s$/.test(where) ? exactBytes(value as number) : String(value));
  }
  return found;
}

/** Mine on top of theirs: where only one side changed something, that holds; where both did, mine. */
export function merged(base: unknown, mine: unknown, theirs: unknown): unknown {
  if (same(mine, base)) return theirs;
  if (!isTable(mine) || !isTable(theirs)) return mine;
  const was = isTable(base) ? base : {};
  const names = new Set([...Object.keys(mine), ...Object.keys(theirs)]);
  const made: Values = {};
  for (const name of names) {
    const value = merged(was[name], mine[name], theirs[name]);
    if (value !== undefined) made[name] = value;
  }
  return made;
}

const isTable = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

export function same(one: unknown, other: unknown): boolean {
  if (!isTable(one) || !isTable(other)) return JSON.stringify(one) === JSON.stringify(other);
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => same(one[name], other[name]));
}
