/**
 * So many steps in one turn of the event loop, whoever takes them; the others wait for a later turn, in order.
 * A bound for each connection would be none for the process: two hundred that each take their share at once hold
 * everybody up.
 */
export class Pace {
  readonly #perTurn: number;
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #scheduled = false;

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
    this.#left = perTurn;
  }

  /** Null: take the step now. Else it may be taken when this resolves. */
  step(): Promise<void> | null {
    this.#schedule();
    if (this.#left > 0 && this.#waiting.length === 0) {
      this.#left -= 1;
      return null;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    this.#left = this.#perTurn;
    const next = this.#waiting.splice(0, this.#left);
    this.#left -= next.length;
    if (next.length > 0) this.#schedule();
    for (const resolve of next) resolve();
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }
}
