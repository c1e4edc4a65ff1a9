/** The parts of the policy, each a card of fields. */
import type { ComponentChildren } from "preact";
import { Button, IconButton } from "../../parts/Button";
import { Card } from "../../parts/Card";
import { TextField } from "../../parts/Field";
import { row, windowRow, type Draft, type Row } from "./draft";
import { DAY_NAMES, spansOf } from "./week";

export interface SectionProps {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  /** What is wrong with a field, by its name in the policy. */
  problemAt: (where: string) => string;
  mayEdit: boolean;
}

const STRATEGIES: Record<string, [name: string, told: string]> = {
  "least-loaded": ["Least loaded", "To the node with the smallest share of its slots in use. Good for most clusters."],
  "round-robin": ["Round robin", "To whichever node was not given a task for longest."],
  "bin-pack": ["Bin pack", "Fill one node before the next, so that others can be switched off."],
  spread: ["Spread", "To the node with the fewest tasks; evenly over zones first, if you name their tag."],
  "fastest-origin": ["Fastest origin", "To where downloads from the same origin were fastest; untried nodes are tried first."],
};

export function Placing({ draft, set, problemAt, mayEdit, strategies }: SectionProps & { strategies: readonly string[] }) {
  const all = strategies.includes(draft.strategy) ? strategies : [...strategies, draft.strategy];
  const problem = problemAt("strategy") || problemAt("bin_pack_weights");
  return (
    <Card title="Placing">
      <p class="quiet section-told">Which of the nodes that could take a task should.</p>
      <fieldset class="strategies" disabled={!mayEdit}>
        <legend class="for-readers">Strategy</legend>
        {all.map((each) => {
          const [name, told] = STRATEGIES[each] ?? [each, strategies.includes(each) ? "Of an installed package." : "Not installed where the coordinator leads."];
          return (
            <label key={each} class={draft.strategy === each ? "strategy on" : "strategy"}>
              <input type="radio" name="strategy" checked={draft.strategy === each} onChange={() => set({ strategy: each })} />
              <span>
                <strong>{name}</strong>
                <small class="quiet">{told}</small>
              </span>
            </label>
          );
        })}
      </fieldset>
      {problem && <p class="field-problem">{problem}</p>}
      {draft.strategy === "bin-pack" && (
        <div class="form-row section-more">
          <TextField label="Weight of the line" inputMode="numeric" help="What counts how much, 0 to 1." problem={problemAt("bin_pack_weights.bandwidth")} disabled={!mayEdit} value={draft.pack_bandwidth} onValue={(value) => set({ pack_bandwidth: value })} />
          <TextField label="Weight of the disk" inputMode="numeric" help="What counts how much, 0 to 1." problem={problemAt("bin_pack_weights.disk")} disabled={!mayEdit} value={draft.pack_disk} onValue={(value) => set({ pack_disk: value })} />
        </div>
      )}
      {draft.strategy === "spread" && (
        <div class="form-row section-more">
          <TextField label="Spread over the tag" placeholder="zone" help="“zone” for nodes tagged zone=…; empty: over nodes alone." problem={problemAt("spread_tag")} disabled={!mayEdit} value={draft.spread_tag} onValue={(value) => set({ spread_tag: value })} />
        </div>
      )}
    </Card>
  );
}

interface Column {
  field: string;
  label: string;
  hint: string;
}

interface EntriesProps extends SectionProps {
  part: "owners" | "origins" | "options";
  title: string;
  told: ComponentChildren;
  name: Omit<Column, "field">;
  columns: Column[];
  add: string;
}

/** Rows of a name and its fields. */
function Entries({ draft, set, problemAt, mayEdit, part, title, told, name, columns, add }: EntriesProps) {
  const rows = draft[part];
  const put = (changed: Row[]) => set({ [part]: changed });
  const change = (id: number, one: Partial<Row>) => put(rows.map((each) => (each.id === id ? { ...each, ...one } : each)));
  return (
    <Card title={title}>
      <p class="quiet section-told">{told}</p>
      {problemAt(part) && <p class="field-problem">{problemAt(part)}</p>}
      {rows.length > 0 && (
        <ul class="entries">
          {rows.map((each) => {
            const where = `${part}.${each.name.trim()}`;
            return (
              <li key={each.id} class={`entry of-${columns.length}`}>
                <TextField label={name.label} placeholder={name.hint} problem={problemAt(where)} disabled={!mayEdit} value={each.name} onValue={(value) => change(each.id, { name: value })} />
                {columns.map(({ field, label, hint }) => (
                  <TextField
                    key={field}
                    label={label}
                    placeholder={hint}
                    disabled={!mayEdit}
                    problem={problemAt(`${where}.${field}`)}
                    value={each.values[field] ?? ""}
                    onValue={(value) => change(each.id, { values: { ...each.values, [field]: value } })}
                  />
                ))}
                {mayEdit && <IconButton icon="trash" label={`Remove ${each.name || "this entry"}`} onClick={() => put(rows.filter(({ id }) => id !== each.id))} />}
              </li>
            );
          })}
        </ul>
      )}
      {!rows.length && !mayEdit && <p class="quieter">None.</p>}
      {mayEdit && (
        <Button small icon="plus" onClick={() => put([...rows, row()])}>
          {add}
        </Button>
      )}
    </Card>
  );
}

export function Owners(props: SectionProps) {
  return (
    <Entries
      {...props}
      part="owners"
      title="Owners"
      told={
        <>
          Owners share what is free in proportion to their weights. <code>*</code> stands for all others; an owner with an entry has nothing of it.
        </>
      }
      name={{ label: "Owner", hint: "alice, or *" }}
      columns={[
        { field: "weight", label: "Weight", hint: "1" },
        { field: "running", label: "Running at most", hint: "no limit" },
        { field: "queued", label: "Waiting at most", hint: "no limit" },
      ]}
      add="Add an owner"
    />
  );
}

export function Origins(props: SectionProps) {
  return (
    <Entries
      {...props}
      part="origins"
      title="Origins"
      told={
        <>
          What the whole cluster may do at one origin. The most exact entry counts; <code>*</code> is for each origin without one.
        </>
      }
      name={{ label: "Origin", hint: "*.example.org" }}
      columns={[
        { field: "running", label: "Downloads at once", hint: "no limit" },
        { field: "bytes_per_s", label: "Bytes a second", hint: "20M, or no limit" },
      ]}
      add="Add an origin"
    />
  );
}

export function Options(props: SectionProps) {
  return (
    <Entries
      {...props}
      part="options"
      title="aria2 options"
      told="Of each task that is placed from now on, below what its node and its request say."
      name={{ label: "Option", hint: "split" }}
      columns={[{ field: "value", label: "Value", hint: "5" }]}
      add="Add an option"
    />
  );
}

const ZONES: string[] = typeof Intl.supportedValuesOf === "function" ? ["UTC", ...Intl.supportedValuesOf("timeZone")] : [];

export function Bandwidth({ draft, set, problemAt, mayEdit }: SectionProps) {
  const { windows } = draft;
  return (
    <Card title="Bandwidth">
      <p class="quiet section-told">
        What the whole cluster may download in a second, and when. Where several windows hold, the lowest limit counts; where none does, there is no limit.
      </p>
      {problemAt("bandwidth") && <p class="field-problem">{problemAt("bandwidth")}</p>}
      <ul class="entries">
        {windows.map((each, index) => (
          <li key={each.id} class="entry of-0">
            <TextField
              label={`Window ${index + 1}`}
              placeholder="Mon-Fri 08:00-18:00 20M"
              problem={problemAt(`bandwidth.${index + 1}`)}
              disabled={!mayEdit}
              value={each.text}
              onValue={(text) => set({ windows: windows.map((other) => (other.id === each.id ? { ...other, text } : other)) })}
            />
            {mayEdit && <IconButton icon="trash" label={`Remove window ${index + 1}`} onClick={() => set({ windows: windows.filter(({ id }) => id !== each.id) })} />}
          </li>
        ))}
      </ul>
      {mayEdit && (
        <Button small icon="plus" onClick={() => set({ windows: [...windows, windowRow()] })}>
          Add a window
        </Button>
      )}
      {windows.some(({ text }) => spansOf(text)) && <Week texts={windows.map(({ text }) => text)} />}
      <div class="form-row section-more">
        <TextField
          label="Time zone"
          list="time-zones"
          placeholder="Europe/Berlin"
          help="Of the windows."
          problem={problemAt("time_zone")}
          disabled={!mayEdit}
          value={draft.time_zone}
          onValue={(value) => set({ time_zone: value })}
        />
        <datalist id="time-zones">
          {ZONES.map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
      </div>
    </Card>
  );
}

/** The week at a glance: where which limit holds. */
function Week({ texts }: { texts: string[] }) {
  const spans = texts.flatMap((text) => spansOf(text) ?? []);
  return (
    <figure class="week" role="img" aria-label={`The week: ${texts.filter(Boolean).join("; ")}`}>
      {DAY_NAMES.map((name, day) => (
        <div key={name} class="week-day">
          <span class="quieter">{name}</span>
          <div class="week-line">
            {spans
              .filter((span) => span.day === day)
              .map((span, index) => (
                <i key={index} title={`${name} ${clock(span.from)}–${clock(span.to)}: ${span.limit}/s`} style={{ left: `${(span.from / 24) * 100}%`, width: `${((span.to - span.from) / 24) * 100}%` }}>
                  {span.to - span.from >= 3 ? `${span.limit}/s` : ""}
                </i>
              ))}
          </div>
        </div>
      ))}
      <div class="week-hours quieter number">
        {["00", "06", "12", "18", "24"].map((hour) => (
          <span key={hour}>{hour}</span>
        ))}
      </div>
    </figure>
  );
}

const clock = (hours: number): string => `${String(Math.floor(hours)).padStart(2, "0")}:${String(Math.round((hours % 1) * 60)).padStart(2, "0")}`;
