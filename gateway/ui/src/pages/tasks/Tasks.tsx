export function Tasks(_: { id: string }) {
  return <h1 tabIndex={-1}>Tasks</h1>;
}
