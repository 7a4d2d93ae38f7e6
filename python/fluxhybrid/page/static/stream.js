/**
 * The live stream: open, and opened again whenever it breaks.
 *
 * Owns the socket and the waiting between two tries. Must never keep events: each goes on at once.
 */

import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, HIDDEN_GRACE_MS } from './limits.js';

/** What is listened to while the page is looked at. */
const KINDS = ['telemetry', 'firing', 'alarm', 'command', 'device_status', 'refused'];
/** What is listened to while it is not: what the title shows. */
const KINDS_HIDDEN = ['alarm'];

export class Stream {
  #api;
  #told;
  #socket = null;
  #timer = 0;
  #grace = 0;
  #failures = 0;
  #hidden = false;
  #ended = new AbortController();

  /**
   * @param {import('./api.js').Api} api
   * @param {{
   *   state: (state: string, until_ms?: number) => void,
   *   events: (events: any[], dropped: number) => void,
   *   opened: (hidden: boolean) => void,
   *   failed: () => void,
   * }} told who is told what: state is `connecting`, `live`, `waiting`, `offline` or `paused`
   */
  constructor(api, told) {
    this.#api = api;
    this.#told = told;
    const signal = this.#ended.signal;
    addEventListener('online', () => this.#again(), { signal });
    addEventListener('offline', () => this.#told.state('offline'), { signal });
    document.addEventListener('visibilitychange', () => this.#seen(), { signal });
    this.#open();
    this.#seen();
  }

  /** Closes it for good. */
  end() {
    this.#ended.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#grace);
    this.#drop();
  }

  #seen() {
    clearTimeout(this.#grace);
    if (document.hidden) {
      this.#grace = setTimeout(() => this.#look(true), HIDDEN_GRACE_MS);
    } else if (this.#hidden) {
      this.#look(false);
    }
  }

  #look(hidden) {
    this.#hidden = hidden;
    this.#failures = 0;
    this.#open();
  }

  #again() {
    if (!this.#socket) {
      this.#failures = 0;
      this.#open();
    }
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #open() {
    clearTimeout(this.#timer);
    this.#drop();
    const hidden = this.#hidden;
    const socket = this.#api.stream(hidden ? KINDS_HIDDEN : KINDS);
    this.#socket = socket;
    if (!hidden) this.#told.state('connecting');
    socket.onopen = () => {
      this.#failures = 0;
      this.#told.state(hidden ? 'paused' : 'live');
      this.#told.opened(hidden);
    };
    socket.onmessage = ({ data }) => {
      const { events, dropped } = JSON.parse(data);
      this.#told.events(events, dropped);
    };
    socket.onclose = () => this.#closed();
  }

  #closed() {
    this.#socket = null;
    this.#failures += 1;
    // Why a handshake was refused is kept from scripts: a request tells.
    this.#told.failed();
    if (this.#ended.signal.aborted) return;
    const full = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (this.#failures - 1));
    // Half of it at random: pages that lost a server together do not come back together.
    const wait_ms = full * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#open(), wait_ms);
    this.#told.state(navigator.onLine ? 'waiting' : 'offline', Date.now() + wait_ms);
  }
}
