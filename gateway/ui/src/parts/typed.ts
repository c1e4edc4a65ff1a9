/** What is being typed, and asked for once nobody wrote for a moment. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** `asked`: what holds now, without spaces around it. Answers what to show, and what to call with what is written. */
export function useTyped(asked: string, quietMs: number, ask: (text: string) => void): [string, (text: string) => void] {
  const text = useSignal(asked);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const mine = useRef(asked);
  useEffect(() => {
    // What was asked from here stays as it is written: a space at its end begins the next word.
    if (asked === mine.current) return;
    clearTimeout(timer.current);
    mine.current = asked;
    text.value = asked;
  }, [asked]);
  // Whoever has gone to another page asks nothing there.
  useEffect(() => () => clearTimeout(timer.current), []);
  const write = (value: string) => {
    text.value = value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      mine.current = value.trim();
      ask(mine.current);
    }, quietMs);
  };
  return [text.value, write];
}
