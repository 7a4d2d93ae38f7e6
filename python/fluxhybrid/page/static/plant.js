/**
 * Keeps the store filled: snapshots first, the stream beside them, figures and counts now and then.
 *
 * Owns what is asked of the server and when. Must never ask while nobody looks, but for alarms.
 */

import * as limits from './limits.js';
import { ApiError } from './api.js';
import { Stream } from './stream.js';

export class Plant {
  #api;
  #store;
  #told;
  #stream;
  #timers = [];
  #generation = null;
  #started = null;
  #loaded_at = 0;
  #resync_due = Infinity;
  #resync_timer = 0;
  #loading = null;
  #load_again = false;
  #no_plugins = false;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./store.js').Store} store
   * @param {{ state: (state: string, until_ms?: number) => void, signedOut: () => void,
   *   failed: (error: Error) => void }} told
   */
  constructor(api, store, told) {
    this.#api = api;
    this.#store = store;
    this.#told = told;
    store.onStranger = () => {
      if (!store.devices_beyond) this.#resync();
    };
    api.onGeneration = (generation) => this.#onGeneration(generation);
    // The stream first: what happens while the snapshots are read is in one or the other.
    this.#stream = new Stream(api, {
      state: told.state,
      events: (events, dropped) => {
        store.apply(events, dropped);
        if (dropped) this.#resync(limits.MISSED_INTERVAL_MS);
      },
      opened: (hidden) => {
        if (!hidden) this.load();
      },
      failed: () => this.#ask(() => this.#loadStatus()),
    });
    this.load();
    this.#every(limits.STATUS_INTERVAL_MS, () => this.#loadStatus());
    this.#every(limits.SLOW_INTERVAL_MS, () =>
      Promise.all([this.#loadRefusals(), this.#loadPlugins()]),
    );
  }

  /** Stops everything. */
  end() {
    this.#stream.end();
    clearTimeout(this.#resync_timer);
    this.#timers.forEach(clearInterval);
    this.#api.end();
  }

  /** Reads everything anew; asked for again meanwhile, once more. */
  load() {
    if (this.#loading) {
      this.#load_again = true;
      return this.#loading;
    }
    this.#loaded_at = Date.now();
    this.#loading = this.#loadAll().finally(() => {
      this.#loading = null;
      if (this.#load_again) {
        this.#load_again = false;
        this.#resync();
      }
    });
    return this.#loading;
  }

  async #loadAll() {
    this.#no_plugins = false;
    await Promise.all([
      this.#ask(() => this.#loadDevices()),
      this.#ask(() => this.#loadRules()),
      this.#ask(async () => this.#store.putAlarms(await this.#all('/alarms', limits.ALARMS_MAX))),
      this.#ask(async () =>
        this.#store.putCommands(await this.#all('/commands', limits.COMMANDS_MAX)),
      ),
      this.#ask(() => this.#loadStatus()),
      this.#ask(() => this.#loadRefusals()),
      this.#ask(() => this.#loadPlugins()),
    ]);
  }

  async #all(path, length_max) {
    const found = [];
    for await (const items of this.#api.pages(path, length_max)) found.push(...items);
    return found;
  }

  /** Devices and their last values side by side, page by page: the first values soon. */
  async #loadDevices() {
    const products = this.#ask(async () =>
      this.#store.putProducts(await this.#all('/products', limits.PAGE_LEN)),
    );
    const latest = this.#api.pages('/latest', limits.DEVICES_MAX);
    const next = () => latest.next().catch((error) => ({ done: true, error }));
    const found = [];
    let values = next();
    for await (const items of this.#api.pages('/devices', limits.DEVICES_MAX)) {
      found.push(...items);
      this.#store.putDevices(items, false);
      const page = await values;
      if (!page.done) {
        this.#store.putLatest(page.value);
        values = next();
      }
    }
    const { error } = await values;
    if (error) throw error;
    this.#store.putDevices(found, found.length < limits.DEVICES_MAX);
    await products;
  }

  async #loadRules() {
    const [rules, firings] = await Promise.all([
      this.#all('/rules', limits.RULES_MAX),
      this.#all('/firings', limits.FIRINGS_MAX),
    ]);
    this.#store.putRules(rules);
    this.#store.putFirings(firings);
    this.#store.countFirings();
  }

  async #loadStatus() {
    const status = await this.#api.get('/status');
    if (this.#started !== null && this.#started !== status.started_at_ms) this.#resync();
    this.#started = status.started_at_ms;
    this.#store.putStatus(status);
  }

  async #loadRefusals() {
    this.#store.putRefusals(await this.#api.get(`/refusals?limit=${limits.REFUSALS_MAX}`));
  }

  async #loadPlugins() {
    if (this.#no_plugins) return;
    try {
      const answer = await this.#api.get('/plugins');
      this.#store.putPlugins(answer.items ?? answer);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.#no_plugins = true; // this server has none
    }
  }

  #onGeneration(generation) {
    if (this.#generation !== null && generation !== this.#generation) this.#resync();
    this.#generation = generation;
  }

  /** Reads everything anew soon, but not too often. */
  #resync(interval_ms = limits.RESYNC_INTERVAL_MS) {
    const due = Math.max(Date.now() + 200, this.#loaded_at + interval_ms);
    if (due >= this.#resync_due) return;
    this.#resync_due = due;
    clearTimeout(this.#resync_timer);
    this.#resync_timer = setTimeout(() => {
      this.#resync_due = Infinity;
      if (!document.hidden) this.load();
    }, due - Date.now());
  }

  #every(interval_ms, ask) {
    const timer = setInterval(() => {
      if (!document.hidden) this.#ask(ask);
    }, interval_ms);
    this.#timers.push(timer);
  }

  async #ask(question) {
    try {
      await question();
    } catch (error) {
      if (this.#api.isEnded) return;
      if (error instanceof ApiError && error.isSignedOut) this.#told.signedOut();
      // not reached: the stream tells it, and tries again
      else if (!(error instanceof ApiError) || error.status !== 0) this.#told.failed(error);
    }
  }
}
