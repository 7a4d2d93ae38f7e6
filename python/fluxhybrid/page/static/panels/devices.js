/**
 * Devices: last values as they come, a small curve, and whether they are there.
 */

import { drawSpark } from '../chart.js';
import { el, icon, setAttribute, setText } from '../dom.js';
import * as format from '../format.js';
import { CURVE_INTERVAL_MS, DEVICES_MAX, SERIES_POINTS, SERIES_STEP_MS } from '../limits.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { language, t } from '../strings.js';

const SPAN_MS = SERIES_POINTS * SERIES_STEP_MS;
const VALUES_SHOWN = 3;
/** How far a device's clock may be off before its curve goes by that clock. */
const SKEW_MAX_MS = 300_000;

/** The shortest stretch of time a curve is drawn over. */
const SPAN_MIN_MS = 60_000;

/** The stretch of time curves are drawn over: the same for all, growing with what is known. */
export const spanOf = (series, since_ms) => {
  const newest = series.newest_ms;
  const now = format.now();
  const span = Math.min(SPAN_MS, Math.max(SPAN_MIN_MS, now - since_ms));
  const to = Math.abs(now - newest) < SKEW_MAX_MS ? Math.max(now, newest) : newest + SERIES_STEP_MS;
  return { from: to - span, to };
};

/** A pause this long between two points breaks the line. */
export const GAP_MS = 60_000;

export class Devices {
  #store;
  #open;
  #history;
  #list;
  #head;
  #search;
  #which;
  #note = el('p.note', { hidden: true });
  /** All of them, in the order they are shown. */
  #sorted = [];

  /**
   * @param {(device: any) => void} open
   * @param {import('../history.js').History} history
   */
  constructor(section, store, open, history) {
    this.#store = store;
    this.#open = open;
    this.#history = history;
    this.#search = el('input.search', {
      type: 'search',
      'data-placeholder': 'devices.search',
      placeholder: t('devices.search'),
      'aria-label': t('devices.search'),
      'data-label': 'devices.search',
      oninput: () => this.#filter(),
    });
    this.#which = el(
      'select.which',
      {
        'aria-label': t('devices.show'),
        'data-label': 'devices.show',
        onchange: () => this.#filter(),
      },
      ...['all', 'online', 'offline'].map((which) =>
        el('option', { value: which, 'data-t': `devices.${which}` }, t(`devices.${which}`)),
      ),
    );
    const field = el('div.field', null, icon('search'), this.#search);
    this.#head = panelHead('devices', 'devices.title', field, this.#which);
    const viewport = panelList('devices.title');
    section.append(this.#head.head, viewport, this.#note);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (device) => device.key,
      empty: () => t(store.devices.size ? 'devices.noMatch' : 'devices.none'),
    });
  }

  #row() {
    let shown;
    const name = el('span.name');
    const key = el('span.key');
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) }, name, key);
    const lamp = el('span.lamp');
    const state = el('span.unseen');
    const cells = Array.from({ length: VALUES_SHOWN }, () => {
      const label = el('span.value-name');
      const number = el('span.value-number');
      const unit = el('span.value-unit');
      return {
        label,
        number,
        unit,
        cell: el('span.value', null, label, el('span.value-line', null, number, unit)),
      };
    });
    const more = el('span.more');
    const canvas = el('canvas.spark', { 'aria-hidden': 'true' });
    const age = el('span.age');
    const element = el(
      'li.row.device',
      null,
      el('div.who', null, lamp, state, open),
      el('div.values', null, ...cells.map(({ cell }) => cell), more),
      canvas,
      age,
    );
    let curve_at = 0;
    return {
      element,
      update: (device) => {
        const other = device !== shown;
        shown = device;
        setText(name, device.name);
        setText(key, device.key === device.name ? '' : device.key);
        lamp.dataset.state = device.online ? 'on' : 'off';
        element.classList.toggle('is-off', !device.online);
        setText(state, t(device.online ? 'devices.online' : 'devices.offline'));
        const names = this.#store.namesOf(device);
        cells.forEach(({ cell, label, number, unit }, place) => {
          const which = names[place];
          cell.hidden = which === undefined;
          if (which === undefined) return;
          setText(label, which);
          setText(number, format.value(device.values.get(which).value));
          setText(unit, this.#store.unitOf(device, which));
        });
        const beyond = names.length - VALUES_SHOWN;
        setText(more, beyond > 0 ? t('devices.more', { count: beyond }) : '');
        if (!names.length) setText(more, t(device.enabled ? 'devices.silent' : 'devices.disabled'));
        setText(age, device.ts === null ? '' : format.age(device.ts));
        setAttribute(age, 'title', device.ts === null ? null : format.exact(device.ts));
        const at = performance.now();
        if (other || at - curve_at >= CURVE_INTERVAL_MS) {
          curve_at = at;
          this.#curve(canvas, device, names[0]);
        }
      },
    };
  }

  #curve(canvas, device, name) {
    const series = name === undefined ? undefined : this.#store.seriesOf(device, name);
    if (!series || typeof device.values.get(name).value !== 'number') {
      canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
      return;
    }
    this.#history.want(device, name, series);
    const { from, to } = spanOf(series, this.#store.curves_since_ms);
    const inside = series.points().filter(([at]) => at >= from);
    if (!inside.length) canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    drawSpark(canvas, inside, { from, to, gap_ms: GAP_MS });
  }

  #sort() {
    const { compare } = new Intl.Collator(language(), { numeric: true });
    this.#sorted = [...this.#store.devices.values()].sort(
      (a, b) => compare(a.name, b.name) || compare(a.key, b.key),
    );
    this.#filter();
  }

  #filter() {
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const which = this.#which.value;
    const matches = (device) =>
      (which === 'all' || device.online === (which === 'online')) &&
      words.every(
        (word) => device.words.includes(word) || this.#productWords(device).includes(word),
      );
    const found = this.#sorted.filter(matches);
    this.#list.show(found);
    const all = this.#store.devices.size;
    this.#head.count(
      found.length === all
        ? format.count(all)
        : `${format.count(found.length)} / ${format.count(all)}`,
    );
    this.#note.hidden = !(this.#store.devices_beyond && all >= DEVICES_MAX);
    setText(this.#note, t('devices.moreThan', { count: format.count(DEVICES_MAX) }));
  }

  #productWords(device) {
    const product = this.#store.products.get(device.product_id);
    return product ? `${product.key}\n${product.name}`.toLowerCase() : '';
  }

  /** Back to the row that was opened. */
  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (changed.has('devices') || changed.has('all')) this.#sort();
    else if (changed.has('presence') && this.#which.value !== 'all') this.#filter();
    else if (['values', 'presence', 'age'].some((name) => changed.has(name))) this.#list.refresh();
  }
}
