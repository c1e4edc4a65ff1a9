/** Nothing here yet: what to do first; and what failed to load. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/client";
import { Button } from "./Button";
import { Command } from "./Copy";
import "./empty.css";
import { Icon, type IconName } from "./Icon";
import { missingOf, REMEDIES } from "./missing";

interface EmptyProps {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}

export function Empty({ icon, title, children }: EmptyProps) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={22} />
      </span>
      <h3>{title}</h3>
      {children}
    </div>
  );
}

export function Failure({ problem, retry }: { problem: Problem; retry: () => void }) {
  const missing = missingOf(problem);
  return (
    <Empty icon={problem.isOffline ? "offline" : "problem"} title={problem.isOffline ? "Offline" : "That could not be read"}>
      <p>{problem.message}</p>
      {missing && (
        <>
          <p>{REMEDIES[missing].told}</p>
          <Command text={REMEDIES[missing].command} />
        </>
      )}
      <Button small icon="retry" onClick={retry}>
        Try again
      </Button>
    </Empty>
  );
}

/** Grey lines where something is to come. */
export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div class="skeleton" aria-hidden="true">
      {Array.from({ length: lines }, (_, index) => (
        <i key={index} style={{ width: `${92 - ((index * 23) % 46)}%` }} />
      ))}
    </div>
  );
}
