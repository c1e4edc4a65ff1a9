export function Keys(_: { id: string }) {
  return <h1 tabIndex={-1}>Keys</h1>;
}
