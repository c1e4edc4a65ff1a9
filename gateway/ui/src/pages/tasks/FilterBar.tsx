/** Which tasks are listed: kept in the address, so that a view can be sent to somebody. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Button } from "../../parts/Button";
import { Select } from "../../parts/Field";
import { count } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { Live } from "../../parts/Live";
import { useTyped } from "../../parts/typed";
import { status } from "../../store/cluster";
import { ask, route } from "../../store/route";
import { CONDITION_NAMES, CONDITIONS, SORTS, TABS, tabOf, type Condition, type Tab } from "./filters";

/** So long nobody wrote: the search begins. */
const QUIET_MS = 250;

export function FilterBar() {
  const asked = route.value.query;
  const isOpen = useSignal(false);
  const chips = CONDITION_NAMES.flatMap((name) => asked.getAll(name).map((value) => [name, value] as const));
  return (
    <div class="filters">
      <Tabs />
      <div class="filter-row">
        <Search />
        <Button icon="filter" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
          Filter
        </Button>
        <Select bare label="Order" value={asked.get("sort") ?? "-time"} options={SORTS} onValue={(sort) => ask((query) => (sort === "-time" ? query.delete("sort") : query.set("sort", sort)))} />
      </div>
      {isOpen.value && <More />}
      {(chips.length > 0 || asked.has("since") || asked.has("until")) && (
        <ul class="chips" aria-label="Filters">
          {chips.map(([name, value]) => (
            <Chip key={`${name}=${value}`} label={`${CONDITIONS[name]}: ${value}`} remove={() => ask((query) => query.delete(name, value))} />
          ))}
          {(["since", "until"] as const).map(
            (name) => asked.has(name) && <Chip key={name} label={`${name} ${shortTime(asked.get(name) ?? "")}`} remove={() => ask((query) => query.delete(name))} />,
          )}
          <li>
            <button
              type="button"
              class="chip-clear"
              onClick={() => ask((query) => [...CONDITION_NAMES, "since", "until", "text"].forEach((name) => query.delete(name)))}
            >
              Clear
            </button>
          </li>
        </ul>
      )}
    </div>
  );
}

const shortTime = (moment: string) => moment.replace("T", " ").slice(0, 16);

function Chip({ label, remove }: { label: string; remove: () => void }) {
  return (
    <li class="chip">
      <span class="clip" title={label}>
        {label}
      </span>
      <button type="button" aria-label={`Remove the filter ${label}`} onClick={remove}>
        <Icon name="close" size={13} />
      </button>
    </li>
  );
}

function Tabs() {
  const here = tabOf(route.value.query);
  const counts = status.data.value?.tasks;
  const of = (tab: Tab): number | undefined => counts && (tab.states.length ? sum(tab.states.map((state) => counts[state] ?? 0)) : sum(ALL.map((state) => counts[state] ?? 0)));
  return (
    <div class="state-tabs" role="group" aria-label="State">
      {TABS.map((tab) => (
        <button
          key={tab.name}
          type="button"
          aria-pressed={tab === here}
          onClick={() =>
            ask((query) => {
              query.delete("state");
              for (const state of tab.states) query.append("state", state);
            }, false)
          }
        >
          {tab.name}
          <small class="number">
            <Live>{of(tab) === undefined ? "" : short(of(tab) as number)}</Live>
          </small>
        </button>
      ))}
    </div>
  );
}

/** Paused ones are counted in their state, too. */
const ALL = ["queued", "assigned", "active", "ending", "completed", "failed", "cancelled", "rejected"];
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
const short = (value: number): string => (value < 10_000 ? count(value) : value < 1_000_000 ? `${Math.floor(value / 1000)}k` : `${(value / 1_000_000).toFixed(1)}M`);

function Search() {
  const asked = route.value.query.get("text") ?? "";
  const [text, write] = useTyped(asked, QUIET_MS, (value) => ask((query) => (value ? query.set("text", value) : query.delete("text"))));
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const inField = (event.target as HTMLElement).closest("input, textarea, select, dialog");
      if (event.key !== "/" || inField || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      box.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class="search">
      <Icon name="search" size={17} />
      <input
        ref={box}
        type="search"
        class="input"
        aria-label="Search tasks"
        placeholder="Search names, addresses, ids, reasons …"
        value={text}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => write(event.currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

const HINTS: Record<Condition, string> = {
  owner: "default",
  node: "node-1",
  origin: "example.org, *.example.org",
  tag: "eu",
  label: "project=mirror",
};

function More() {
  const add = (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    ask((query) => {
      for (const name of CONDITION_NAMES) {
        for (const value of String(given.get(name) ?? "").split(",").map((each) => each.trim()).filter(Boolean)) {
          if (!query.has(name, value)) query.append(name, value);
        }
      }
      for (const name of ["since", "until"]) {
        const value = String(given.get(name) ?? "");
        if (value) query.set(name, new Date(value).toISOString());
      }
    });
    form.reset();
  };
  return (
    <form class="filter-more" onSubmit={add}>
      {CONDITION_NAMES.map((name) => (
        <Named key={name} name={name} label={CONDITIONS[name]} hint={HINTS[name]} />
      ))}
      <Named name="since" label="Since" type="datetime-local" />
      <Named name="until" label="Until" type="datetime-local" />
      <Button type="submit" kind="main">
        Apply
      </Button>
    </form>
  );
}

function Named({ name, label, hint = "", type = "text" }: { name: string; label: string; hint?: string; type?: "text" | "datetime-local" }) {
  return (
    <label class="field">
      <span>{label}</span>
      <input {...({ name, type } as object)} class="input" placeholder={hint} autocomplete="off" spellcheck={false} />
    </label>
  );
}

