/** Buttons: with words, or with an icon that has a name for readers. */
import type { ComponentChildren, JSX } from "preact";
import "./button.css";
import { Icon, type IconName } from "./Icon";

type Kind = "plain" | "main" | "quiet" | "bad";

interface Common {
  kind?: Kind;
  small?: boolean;
  icon?: IconName;
  busy?: boolean;
  children?: ComponentChildren;
}

type ButtonProps = Common & Omit<JSX.IntrinsicElements["button"], "icon" | "class">;

export function Button({ kind = "plain", small, icon, busy, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      class={`button ${kind}${small ? " small" : ""}${busy ? " busy" : ""}`}
    >
      {icon && <Icon name={icon} size={small ? 15 : 17} />}
      {children}
    </button>
  );
}

export function LinkButton({ kind = "plain", small, icon, children, href, download }: Common & { href: string; download?: string }) {
  return (
    <a href={href} download={download} class={`button ${kind}${small ? " small" : ""}`}>
      {icon && <Icon name={icon} size={small ? 15 : 17} />}
      {children}
    </a>
  );
}

interface IconButtonProps extends Omit<JSX.IntrinsicElements["button"], "icon" | "class" | "label"> {
  icon: IconName;
  label: string;
  kind?: Kind;
}

export function IconButton({ icon, label, kind = "quiet", ...rest }: IconButtonProps) {
  return (
    <button type="button" title={label} aria-label={label} {...rest} class={`icon-button ${kind}`}>
      <Icon name={icon} size={18} />
    </button>
  );
}
