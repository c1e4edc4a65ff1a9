/** When what failed may be tried again: with growing pauses, or at once where somebody asks for it. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

export class Pauses {
  /** In ms; 0: now. */
  retryAt = 0;
  private wait = FIRST_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `due`: called when a pause is over. */
  constructor(private readonly due: () => void) {}

  get isOver(): boolean {
    return Date.now() >= this.retryAt;
  }

  /** Several that fail at once are one failure. */
  failed(): void {
    if (!this.isOver) return;
    this.retryAt = Date.now() + this.wait;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_MS);
  }

  went(): void {
    clearTimeout(this.timer);
    this.retryAt = 0;
    this.wait = FIRST_MS;
  }

  /** Now, whatever is left of the pause. */
  end(): void {
    clearTimeout(this.timer);
    this.retryAt = 0;
    this.due();
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
