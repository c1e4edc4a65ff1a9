/** Bytes as people type them: K, M, G and T of 1024. Pure. */
const UNITS = ["", "K", "M", "G", "T"];

/** The shortest that says exactly so many: `20M`; empty for none. */
export function exactBytes(amount: number | string | null | undefined): string {
  if (amount == null || amount === "") return "";
  if (typeof amount === "string") return amount;
  let value = amount;
  let unit = 0;
  while (value && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value}${UNITS[unit]}`;
}
