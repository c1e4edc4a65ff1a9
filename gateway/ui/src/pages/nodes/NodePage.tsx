export function NodePage(_: { id: string }) {
  return <h1 tabIndex={-1}>NodePage</h1>;
}
