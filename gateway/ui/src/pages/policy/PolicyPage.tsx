export function PolicyPage(_: { id: string }) {
  return <h1 tabIndex={-1}>PolicyPage</h1>;
}
