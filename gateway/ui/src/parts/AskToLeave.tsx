/** Asked before what was written and not saved is lost. */
import { leave, leavingTo, stay } from "../store/unsaved";
import { Button } from "./Button";
import { Dialog } from "./Dialog";

export function AskToLeave() {
  if (!leavingTo.value) return null;
  return (
    <Dialog
      title="Leave without saving?"
      onClose={stay}
      foot={
        <>
          <Button onClick={stay}>Stay here</Button>
          <Button kind="bad" onClick={leave}>
            Leave
          </Button>
        </>
      }
    >
      <p>What you wrote on this page is not saved, and is lost when you leave it.</p>
    </Dialog>
  );
}
