/** Short words at the foot of the page, read out as they come. */
import { dismiss, undoable, toasts, type Toast } from "../store/toasts";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import "./toasts.css";

const isUndoable = (toast: Toast): boolean => toast === undoable.value;

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.tone}`}>
          {toast.tone !== "plain" && <Icon name={toast.tone === "good" ? "check" : "problem"} size={17} />}
          <span class="toast-text">{toast.text}</span>
          {toast.action && (
            <button type="button" class="toast-action" aria-keyshortcuts={isUndoable(toast) ? "Alt+Z" : undefined} onClick={toast.action.run}>
              {toast.action.label}
              {isUndoable(toast) && <kbd aria-hidden="true">Alt+Z</kbd>}
            </button>
          )}
          {!toast.action && <IconButton icon="close" label="Dismiss" onClick={() => dismiss(toast.id)} />}
          {toast.action && <i class="toast-clock" style={{ animationDuration: `${toast.ms}ms` }} />}
        </div>
      ))}
    </div>
  );
}
