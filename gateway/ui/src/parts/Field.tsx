/** What somebody writes or chooses, with its name, help, and what is wrong with it. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import "./field.css";

interface FieldProps {
  label: string;
  help?: ComponentChildren;
  problem?: string;
  /** The name is for readers alone. */
  bare?: boolean;
}

interface InputProps extends FieldProps {
  value: string;
  onValue: (value: string) => void;
  type?: "text" | "password" | "search" | "number" | "datetime-local";
  placeholder?: string;
  autocomplete?: "off" | "current-password";
  inputMode?: "numeric" | "text";
  disabled?: boolean;
  min?: number;
  max?: number;
  /** The id of a datalist with what is usual. */
  list?: string;
}

export function TextField({ label, help, problem, bare, type = "text", autocomplete = "off", onValue, ...rest }: InputProps) {
  const id = useId();
  return (
    <Framed {...{ id, label, help, problem, bare }}>
      <input
        {...({ ...rest, type } as object)}
        autocomplete={autocomplete}
        spellcheck={false}
        id={id}
        class="input"
        aria-invalid={Boolean(problem)}
        aria-describedby={help || problem ? `${id}-told` : undefined}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
    </Framed>
  );
}

interface AreaProps extends FieldProps {
  value: string;
  onValue: (value: string) => void;
  placeholder?: string;
  rows?: number;
  disabled?: boolean;
}

export function TextArea({ label, help, problem, bare, onValue, ...rest }: AreaProps) {
  const id = useId();
  return (
    <Framed {...{ id, label, help, problem, bare }}>
      <textarea
        autocomplete="off"
        spellcheck={false}
        {...rest}
        id={id}
        class="input area"
        aria-invalid={Boolean(problem)}
        aria-describedby={help || problem ? `${id}-told` : undefined}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
    </Framed>
  );
}

interface SelectProps extends FieldProps {
  value: string;
  options: [value: string, label: string][];
  onValue: (value: string) => void;
  disabled?: boolean;
}

export function Select({ label, help, problem, bare, value, options, onValue, disabled }: SelectProps) {
  const id = useId();
  return (
    <Framed {...{ id, label, help, problem, bare }}>
      <select id={id} class="input select" value={value} disabled={disabled} onChange={(event) => onValue(event.currentTarget.value)}>
        {options.map(([each, name]) => (
          <option key={each} value={each}>
            {name}
          </option>
        ))}
      </select>
    </Framed>
  );
}

function Framed({ id, label, help, problem, bare, children }: FieldProps & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id} class={bare ? "for-readers" : ""}>
        {label}
      </label>
      {children}
      {(problem || help) && (
        <p id={`${id}-told`} class={problem ? "field-problem" : "field-help"}>
          {problem || help}
        </p>
      )}
    </div>
  );
}

interface CheckProps {
  label: ComponentChildren;
  checked: boolean;
  onValue: (checked: boolean) => void;
  disabled?: boolean;
}

export function Check({ label, checked, onValue, disabled }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={(event) => onValue(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  value: Value;
  options: [value: Value, label: ComponentChildren][];
  onValue: (value: Value) => void;
}

/** A few that exclude each other, side by side. */
export function Choice<Value extends string>({ label, value, options, onValue }: ChoiceProps<Value>) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend class="for-readers">{label}</legend>
      {options.map(([each, shown]) => (
        <label key={each} class={each === value ? "on" : ""}>
          <input type="radio" name={name} checked={each === value} onChange={() => onValue(each)} />
          {shown}
        </label>
      ))}
    </fieldset>
  );
}
