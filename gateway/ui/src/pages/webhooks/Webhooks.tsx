export function Webhooks(_: { id: string }) {
  return <h1 tabIndex={-1}>Webhooks</h1>;
}
