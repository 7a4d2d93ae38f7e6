/**
 * Values of times before the page was opened.
 *
 * Owns which histories were asked for already. Must never ask a server that has none, nor for more
 * than a few at a time: the rows in view come first.
 */

import { ApiError } from './api.js';
import { now } from './format.js';
import { HISTORY_PARALLEL_MAX, SERIES_POINTS, SERIES_STEP_MS } from './limits.js';

/** Histories waiting to be asked for; rows scrolled past give way to those in view. */
const WAITING_MAX = 64;

export class History {
  #api;
  #asked = new WeakSet();
  #waiting = [];
  #running = 0;
  #none = false;
  #filled;

  /** @param {(points: [number, number][]) => void} filled called when a curve has become longer */
  constructor(api, filled) {
    this.#api = api;
    this.#filled = filled;
  }

  /** Whether this server keeps a history, as far as that is known. */
  get isThere() {
    return !this.#none;
  }

  /** Fills a curve of a device in, once, when it is its turn. */
  want(device, name, series) {
    if (this.#none || !device.id || this.#asked.has(series)) return;
    this.#asked.add(series);
    this.#waiting.push({ device, name, series });
    if (this.#waiting.length > WAITING_MAX) this.#asked.delete(this.#waiting.shift().series);
    this.#next();
  }

  #next() {
    while (this.#running < HISTORY_PARALLEL_MAX && this.#waiting.length) {
      const { device, name, series } = this.#waiting.pop();
      this.#running += 1;
      const to = now();
      this.points(device, name, to - SERIES_POINTS * SERIES_STEP_MS, to, SERIES_STEP_MS)
        .then(
          (points) => {
            series.fill(points);
            this.#filled(points);
          },
          () => {},
        )
        .finally(() => {
          this.#running -= 1;
          this.#next();
        });
    }
  }

  /**
   * A value's means in steps: `[[ms since 1970, value], …]`, oldest first; empty where the server
   * keeps no history.
   */
  async points(device, name, from, to, step_ms) {
    if (this.#none || !device.id) return [];
    const query = new URLSearchParams({
      from: String(Math.floor(from)),
      to: String(Math.ceil(to)),
      step: String(step_ms),
      agg: 'avg',
      name,
    });
    try {
      const { series } = await this.#api.get(
        `/devices/${encodeURIComponent(device.id)}/telemetry?${query}`,
      );
      return series.find((one) => one.name === name)?.points ?? [];
    } catch (error) {
      if (error instanceof ApiError && error.code === 'request.no_such_path') this.#none = true;
      else if (!(error instanceof ApiError)) throw error;
      return [];
    }
  }
}
