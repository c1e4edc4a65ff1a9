export function Events(_: { id: string }) {
  return <h1 tabIndex={-1}>Events</h1>;
}
