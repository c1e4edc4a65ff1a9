export function TaskPage(_: { id: string }) {
  return <h1 tabIndex={-1}>TaskPage</h1>;
}
