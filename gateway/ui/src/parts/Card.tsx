/** What belongs together. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { arrived } from "../store/arrival";
import "./card.css";

interface CardProps {
  title?: ComponentChildren;
  /** Beside the title, at its end. */
  aside?: ComponentChildren;
  /** Without padding: for tables and lists. */
  flush?: boolean;
  children: ComponentChildren;
  class?: string;
}

export function Card({ title, aside, flush, children, class: more = "" }: CardProps) {
  return (
    <section class={`card ${more}`}>
      {title && (
        <header class="card-head">
          <h2>{title}</h2>
          {aside && <div class="card-aside">{aside}</div>}
        </header>
      )}
      <div class={flush ? "card-body flush" : "card-body"}>{children}</div>
    </section>
  );
}

export function PageHead({ title, sub, children }: { title: ComponentChildren; sub?: ComponentChildren; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => arrived(heading.current), []);
  return (
    <header class="page-head">
      <div class="page-title">
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {sub && <p class="quiet">{sub}</p>}
      </div>
      {children && <div class="page-actions">{children}</div>}
    </header>
  );
}
