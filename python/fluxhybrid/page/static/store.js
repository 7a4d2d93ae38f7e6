/**
 * What the page knows of the plant: snapshots of the API, and the live events after them.
 *
 * Owns every collection and its bound, and which of them changed since somebody looked. Must never
 * touch the document, nor ask the server.
 */

import * as limits from './limits.js';
import { now } from './format.js';
import { Series } from './series.js';

/**
 * @typedef {object} Device
 * @property {string} key
 * @property {string | null} id
 * @property {string} name
 * @property {string | null} product_id
 * @property {boolean} enabled
 * @property {boolean} online
 * @property {number | null} last_online
 * @property {Record<string, string>} tags
 * @property {number | null} ts when it reported last
 * @property {Map<string, {value: any, ts: number}>} values
 * @property {Map<string, Series>} series
 * @property {string} words what a search looks at
 */

const MINUTE_MS = 60_000;

/** Keeps the newest entries of a map that is in order of arrival. */
const trim = (map, length_max) => {
  for (const key of map.keys()) {
    if (map.size <= length_max) return;
    map.delete(key);
  }
};

export class Store {
  /** @type {Map<string, Device>} */
  devices = new Map();
  products = new Map();
  rules = new Map();
  /** Firings, newest first. */
  firings = [];
  alarms = new Map();
  commands = new Map();
  refusals = new Map();
  refusals_unlisted = 0;
  plugins = null;
  status = null;
  /** Figures a moment ago, for rates. */
  figures_before = null;
  /** Rates of the last minutes, by name. */
  rates = { in: new Series(), out: new Series() };
  /** Events the server could not send us in time. */
  skipped = 0;
  /** From when on curves are known, ms since 1970: the page's opening, or earlier with a history. */
  curves_since_ms = now();
  /** Devices that are on the server and not here. */
  devices_beyond = false;
  #series = 0;
  #firing_ids = new Set();
  #changed = new Set();
  /** Called whenever something changed that nobody has seen. */
  onChange = () => {};
  /** Called with alarms that are raised while we look. */
  onAlarm = (_alarm) => {};
  /** Called when an event names a device that is not known here. */
  onStranger = () => {};

  /**
   * What changed since the last call, by name of the collection; `values` and `presence` are those
   * of devices.
   */
  takeChanged() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  touch(name) {
    this.#changed.add(name);
    this.onChange();
  }

  // ---- snapshots

  /** Takes the devices as the server has them. */
  putDevices(items, complete) {
    const there = new Set();
    for (const item of items) {
      there.add(item.key);
      const known = this.devices.get(item.key);
      if (!known && this.devices.size >= limits.DEVICES_MAX) continue;
      const device = known ?? {
        key: item.key,
        ts: null,
        values: new Map(),
        series: new Map(),
      };
      Object.assign(device, {
        id: item.id,
        name: item.name,
        product_id: item.product_id,
        enabled: item.enabled,
        online: item.status === 'online',
        last_online: item.last_online,
        tags: item.tags,
      });
      device.words = [item.key, item.name, ...Object.entries(item.tags).flat()]
        .join('\n')
        .toLowerCase();
      this.devices.set(item.key, device);
    }
    if (complete) {
      for (const [key, device] of this.devices) {
        if (there.has(key)) continue;
        this.#series -= device.series.size;
        this.devices.delete(key);
      }
    }
    this.devices_beyond = !complete;
    this.touch('devices');
  }

  putProducts(items) {
    this.products = new Map(items.map((item) => [item.id, item]));
    for (const product of this.products.values()) {
      const properties = product.metadata?.properties;
      product.units = new Map(
        Array.isArray(properties) ? properties.map((one) => [one?.name, one?.unit]) : [],
      );
    }
    this.touch('devices');
  }

  /**
   * Names of a device's values: in the order of its thing model, then by name; numbers first, since
   * they have curves.
   */
  namesOf(device) {
    const units = this.products.get(device.product_id)?.units;
    const order = units ? [...units.keys()] : [];
    const rank = (name) => {
      const place = order.indexOf(name);
      return (
        (typeof device.values.get(name).value === 'number' ? 0 : 1e6) + (place < 0 ? 1e5 : place)
      );
    };
    return [...device.values.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  }

  /** The unit of a device's value as its thing model says, or nothing. */
  unitOf(device, name) {
    const unit = this.products.get(device.product_id)?.units.get(name);
    return typeof unit === 'string' && unit !== '1' ? unit : '';
  }

  /** Takes last values: `[{device_id, values: {name: {value, ts}}}]`. */
  putLatest(items) {
    for (const { device_id, values } of items) {
      const device = this.devices.get(device_id);
      if (!device) continue;
      for (const [name, { value, ts }] of Object.entries(values))
        this.#putValue(device, name, value, ts);
    }
    this.touch('values');
  }

  putRules(items) {
    const fired = this.rules;
    this.rules = new Map(
      items.map((rule) => [rule.id, { ...rule, fired: fired.get(rule.id)?.fired ?? noFirings() }]),
    );
    this.touch('rules');
  }

  /** Takes firings, in whatever order. */
  putFirings(items) {
    for (const firing of items) this.#takeFiring(firing);
    this.firings.sort((a, b) => b.at - a.at);
    this.#trimFirings();
    this.touch('firings');
  }

  /** Takes alarms; those that are not among the open ones any more are over. */
  putAlarms(items) {
    this.alarms = new Map(items.toReversed().map((alarm) => [alarm.id, alarm]));
    this.touch('alarms');
  }

  putAlarm(alarm) {
    const before = this.alarms.get(alarm.id);
    this.alarms.delete(alarm.id);
    this.alarms.set(alarm.id, alarm);
    if (!before && alarm.state === 'active') this.onAlarm(alarm);
    if (this.alarms.size > limits.ALARMS_MAX) this.#trimAlarms();
    this.touch('alarms');
  }

  /** Those that are over go before those that are open. */
  #trimAlarms() {
    for (const [id, alarm] of this.alarms) {
      if (this.alarms.size <= limits.ALARMS_MAX) return;
      if (alarm.state === 'cleared') this.alarms.delete(id);
    }
    trim(this.alarms, limits.ALARMS_MAX);
  }

  putCommands(items) {
    for (const command of items.toReversed()) this.#putCommand(command);
    this.touch('commands');
  }

  #putCommand(command) {
    // in its place: a command that ends is not a newer one
    this.commands.set(command.id, command);
    trim(this.commands, limits.COMMANDS_MAX);
  }

  putRefusals({ items, unlisted }) {
    this.refusals = new Map(items.toReversed().map((refusal) => [refusal.id, refusal]));
    this.refusals_unlisted = unlisted;
    this.touch('refusals');
  }

  putPlugins(items) {
    this.plugins = items;
    this.touch('plugins');
  }

  /** Takes the engine's figures and learns rates from the ones before. */
  putStatus(status) {
    const at = performance.now();
    const before = this.figures_before;
    const figures = status.figures ?? {};
    if (before && before.started === status.started_at_ms) {
      const seconds = (at - before.at) / 1000;
      const rate = (name) => Math.max(0, (figures[name] - before.figures[name]) / seconds);
      this.rates.in.push(now(), rate('messages_in_total'));
      this.rates.out.push(now(), rate('messages_out_total'));
      status.rate_in = rate('messages_in_total');
      status.rate_out = rate('messages_out_total');
    }
    this.figures_before = { at, figures, started: status.started_at_ms };
    this.status = status;
    this.touch('status');
  }

  // ---- live events

  /** Takes a batch of live events. */
  apply(events, dropped) {
    if (dropped) {
      this.skipped += dropped;
      this.touch('status');
    }
    for (const event of events) this.#apply(event);
  }

  #apply(event) {
    switch (event.kind) {
      case 'telemetry': {
        const device = this.devices.get(event.device_id);
        if (!device) return this.onStranger();
        for (const name in event.values) this.#putValue(device, name, event.values[name], event.ts);
        return this.touch('values');
      }
      case 'device_status': {
        const device = this.devices.get(event.device_id);
        if (!device) return this.onStranger();
        device.online = event.status === 'online';
        device.last_online = event.at;
        return this.touch('presence');
      }
      case 'firing':
        if (this.#putFiring(event)) {
          this.touch('firings');
          this.touch('rules');
        }
        return undefined;
      case 'alarm':
        return this.putAlarm(event);
      case 'command':
        this.#putCommand(event);
        return this.touch('commands');
      case 'refused':
        this.refusals.delete(event.id);
        this.refusals.set(event.id, event);
        trim(this.refusals, limits.REFUSALS_MAX);
        return this.touch('refusals');
      default:
        return undefined;
    }
  }

  #putValue(device, name, value, ts) {
    const known = device.values.get(name);
    if (known) {
      if (ts < known.ts) return; // late: the last value is another
      known.value = value;
      known.ts = ts;
    } else {
      if (device.values.size >= limits.VALUES_PER_DEVICE_MAX) return;
      device.values.set(name, { value, ts });
    }
    if (!(ts <= device.ts)) device.ts = ts;
    if (typeof value === 'number') this.seriesOf(device, name)?.push(ts, value);
  }

  /** The curve of a device's value; made if there is room for one more. */
  seriesOf(device, name) {
    let series = device.series.get(name);
    if (
      !series &&
      device.series.size < limits.SERIES_PER_DEVICE_MAX &&
      this.#series < limits.SERIES_MAX
    ) {
      series = new Series();
      device.series.set(name, series);
      this.#series += 1;
    }
    return series;
  }

  /** A curve was filled in with these points. */
  curvesReach(points) {
    if (points.length) this.curves_since_ms = Math.min(this.curves_since_ms, points[0][0]);
    this.touch('values');
  }

  #takeFiring(firing) {
    if (this.#firing_ids.has(firing.id)) return false;
    this.#firing_ids.add(firing.id);
    this.firings.push(firing);
    return true;
  }

  #trimFirings() {
    while (this.firings.length > limits.FIRINGS_MAX) this.#firing_ids.delete(this.firings.pop().id);
  }

  /** Takes a firing that was just decided; says whether it is new. */
  #putFiring(firing) {
    if (!this.#takeFiring(firing)) return false;
    this.firings.unshift(this.firings.pop());
    this.#trimFirings();
    const fired = this.rules.get(firing.rule_id)?.fired;
    if (fired) countFiring(fired, firing);
    return true;
  }

  /** Counts the firings there are once more, for rules that came after them. */
  countFirings() {
    for (const rule of this.rules.values()) rule.fired = noFirings();
    for (const firing of this.firings.toReversed()) {
      const fired = this.rules.get(firing.rule_id)?.fired;
      if (fired) countFiring(fired, firing);
    }
    this.touch('rules');
  }
}

/** A rule's firings: how many are known, the last one, and how many in each of the last minutes. */
const noFirings = () => ({ count: 0, last: null, minutes: new Map() });

const countFiring = (fired, firing) => {
  fired.count += 1;
  if (!(firing.at < fired.last?.at)) fired.last = firing;
  const minute = Math.floor(firing.at / MINUTE_MS);
  fired.minutes.set(minute, (fired.minutes.get(minute) ?? 0) + 1);
  if (fired.minutes.size > limits.RULE_BARS)
    fired.minutes.delete(Math.min(...fired.minutes.keys()));
};
