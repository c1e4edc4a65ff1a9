/** How far something is, or how full. */
import "./bar.css";

interface BarProps {
  /** 0 to 100; null: nobody knows. */
  value: number | null;
  label: string;
  tone?: "go" | "good" | "warn" | "bad" | "idle";
  thin?: boolean;
}

export function Bar({ value, label, tone = "go", thin }: BarProps) {
  const whole = value === null ? undefined : Math.round(value);
  return (
    <div
      class={`bar ${tone}${thin ? " thin" : ""}${value === null ? " unknown" : ""}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={whole}
    >
      <i style={{ transform: `scaleX(${(value ?? 100) / 100})` }} />
    </div>
  );
}

/** A figure with its bar: CPU, memory, disk. */
export function Meter({ name, value, told }: { name: string; value: number; told: string }) {
  const tone = value >= 95 ? "bad" : value >= 85 ? "warn" : "idle";
  return (
    <div class="meter">
      <span class="quieter">{name}</span>
      <span class="number">{told}</span>
      <Bar value={value} label={`${name}: ${told}`} tone={tone} thin />
    </div>
  );
}
