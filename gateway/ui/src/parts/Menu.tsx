/** A button that opens a list of things to do. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon, type IconName } from "./Icon";
import "./menu.css";

export interface MenuItem {
  label: string;
  icon?: IconName;
  bad?: boolean;
  run: () => void;
}

interface MenuProps {
  label: string;
  items: MenuItem[];
  /** What the button shows; `label` is its name. */
  children: ComponentChildren;
  class?: string;
  /** Where it opens: below (the usual), or above. */
  up?: boolean;
}

export function Menu({ label, items, children, class: look = "icon-button quiet", up }: MenuProps) {
  const isOpen = useSignal(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  /** Back to where it was opened from: what is chosen may open a dialog, which returns there in its turn. */
  const close = () => {
    isOpen.value = false;
    button.current?.focus();
  };
  useEffect(() => {
    if (!isOpen.value) return;
    root.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const away = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) isOpen.value = false;
    };
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, [isOpen.value]);

  const onKeyDown = (event: KeyboardEvent) => {
    const { key } = event;
    if (!isOpen.value) {
      if (key !== "ArrowDown") return;
      isOpen.value = true;
    } else if (key === "Escape" || key === "Tab") close();
    else {
      const all = [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
      const next = nextOf(key, all.indexOf(document.activeElement as HTMLElement), all.length);
      if (next === null) return;
      all[next]?.focus();
    }
    // With Tab one goes on from the button.
    if (key !== "Tab") event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        class={look}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={isOpen.value}
        aria-controls={isOpen.value ? id : undefined}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        {children}
      </button>
      {isOpen.value && (
        <div class={up ? "menu-list up" : "menu-list"} role="menu" id={id} aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class={item.bad ? "bad" : ""}
              onClick={() => {
                close();
                item.run();
              }}
            >
              {item.icon && <Icon name={item.icon} size={16} />}
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Which of `count` a key leads to from one of them, -1: from none; null: it is no such key. Pure. */
function nextOf(key: string, at: number, count: number): number | null {
  if (key === "ArrowDown") return (at + 1) % count;
  if (key === "ArrowUp") return at < 1 ? count - 1 : at - 1;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : null;
}
