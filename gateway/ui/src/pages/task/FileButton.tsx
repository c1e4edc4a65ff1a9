/** The finished file, from the node where it lies. */
import type { Task } from "../../api/types";
import { Button } from "../../parts/Button";

export function FileButton(_: { task: Task }) {
  return (
    <Button icon="download" kind="main" disabled>
      Download
    </Button>
  );
}
