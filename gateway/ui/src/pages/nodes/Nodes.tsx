export function Nodes(_: { id: string }) {
  return <h1 tabIndex={-1}>Nodes</h1>;
}
