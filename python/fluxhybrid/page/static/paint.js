/**
 * When things are painted: in the browser's own rhythm, and no more often than anybody reads.
 *
 * Must never paint a page that is not looked at.
 */

/** Calls `paint` in a frame soon after it was asked for, with so much time between two at least. */
export class Painter {
  #paint;
  #interval_ms;
  #painted_at = -Infinity;
  #waiting = false;
  #ended = false;

  constructor(paint, interval_ms) {
    this.#paint = paint;
    this.#interval_ms = interval_ms;
  }

  request() {
    if (this.#waiting) return;
    this.#waiting = true;
    const wait_ms = this.#painted_at + this.#interval_ms - performance.now();
    if (wait_ms > 4) setTimeout(() => this.#frame(), wait_ms);
    else this.#frame();
  }

  /** Paints nothing any more. */
  end() {
    this.#ended = true;
  }

  #frame() {
    // A hidden page has no frames: what was asked for is painted once it is looked at again.
    requestAnimationFrame(() => {
      if (this.#ended) return;
      this.#waiting = false;
      this.#painted_at = performance.now();
      this.#paint();
    });
  }
}
