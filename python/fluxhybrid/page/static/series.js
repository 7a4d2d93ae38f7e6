/**
 * The last minutes of one value, as a curve of a fixed number of points.
 *
 * Owns a ring: each place is one step of time and holds the mean of what came in it. Must never
 * grow, nor copy when a point is added.
 */

import { SERIES_POINTS, SERIES_STEP_MS } from './limits.js';

export class Series {
  /** Means by place; the place of a step is its number modulo the length. */
  #means = new Float64Array(SERIES_POINTS).fill(NaN);
  #weights = new Uint16Array(SERIES_POINTS);
  /** The newest step, in units of `SERIES_STEP_MS` since 1970. */
  #newest = NaN;

  /** When the newest point is, ms since 1970; NaN before there is one. */
  get newest_ms() {
    return this.#newest * SERIES_STEP_MS;
  }

  /** Takes in a value; one older than the whole curve is let go. */
  push(at_ms, value) {
    const step = Math.floor(at_ms / SERIES_STEP_MS);
    if (!(step <= this.#newest)) this.#advance(step);
    if (step <= this.#newest - SERIES_POINTS) return;
    const place = step % SERIES_POINTS;
    const weight = this.#weights[place];
    const mean = this.#means[place];
    this.#means[place] = weight ? mean + (value - mean) / (weight + 1) : value;
    if (weight < 65_535) this.#weights[place] = weight + 1;
  }

  #advance(step) {
    const gone = Math.min(
      SERIES_POINTS,
      Number.isNaN(this.#newest) ? SERIES_POINTS : step - this.#newest,
    );
    for (let number = step - gone + 1; number <= step; number += 1) {
      this.#means[number % SERIES_POINTS] = NaN;
      this.#weights[number % SERIES_POINTS] = 0;
    }
    this.#newest = step;
  }

  /** Fills in what was before: only where there is nothing yet. */
  fill(points) {
    for (const [at_ms, value] of points) {
      if (typeof value !== 'number') continue;
      const step = Math.floor(at_ms / SERIES_STEP_MS);
      const inside = step <= this.#newest && step > this.#newest - SERIES_POINTS;
      if (
        Number.isNaN(this.#newest) ||
        step > this.#newest ||
        (inside && !this.#weights[step % SERIES_POINTS])
      )
        this.push(at_ms, value);
    }
  }

  /** The points there are, oldest first: `[ms since 1970, value]`. */
  points() {
    const found = [];
    if (Number.isNaN(this.#newest)) return found;
    for (let step = this.#newest - SERIES_POINTS + 1; step <= this.#newest; step += 1) {
      const place = step % SERIES_POINTS;
      if (this.#weights[place]) found.push([step * SERIES_STEP_MS, this.#means[place]]);
    }
    return found;
  }
}
