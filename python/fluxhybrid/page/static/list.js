/**
 * A list of any length, of which only the rows that are looked at exist.
 *
 * Owns rows, scrolling and moving between rows by keyboard. Rows have one height, which the style
 * sheet sets as `--row`. Must never hold more rows than fit on the screen, and some.
 *
 * For assistive technology it is a list whose rows know their place in the whole. One row at a time
 * can be reached with Tab; arrow keys, Page Up, Page Down, Home and End move to others, and Tab goes
 * through what can be pressed in it.
 */

import { el, setAttribute, setText } from './dom.js';
import { t } from './strings.js';

const OVERSCAN = 4;
const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/**
 * @template T
 * @typedef {{ element: HTMLElement, update: (item: T) => void }} Row
 */

/** @template T */
export class VirtualList {
  #make;
  #keyOf;
  /** @type {T[]} */
  #items = [];
  /** @type {Map<string, Row<T> & {item: T}>} */
  #rows = new Map();
  #spare = [];
  #active = null;
  #height = 0;
  #empty;
  #emptyText = () => '';
  #places = new Map();

  /**
   * @param {HTMLElement} viewport an element that scrolls
   * @param {{ row: () => Row<T>, key: (item: T) => string, empty: () => string }} options
   */
  constructor(viewport, { row, key, empty }) {
    this.viewport = viewport;
    this.#make = row;
    this.#keyOf = key;
    this.#emptyText = empty;
    this.#empty = el('p.empty');
    this.track = el('ul.track', { role: 'list' });
    viewport.append(this.track, this.#empty);
    viewport.classList.add('viewport');
    viewport.addEventListener('scroll', () => this.render(), { passive: true });
    viewport.addEventListener('keydown', (event) => this.#onKey(event));
    viewport.addEventListener('focusin', (event) => this.#onFocus(event));
    new ResizeObserver(() => this.#measure()).observe(viewport);
  }

  get items() {
    return this.#items;
  }

  /** Rows that exist. */
  get rows() {
    return this.#rows.size;
  }

  /**
   * Shows these items. Who has scrolled down goes on seeing what he sees, whatever is added above.
   * @param {T[]} items
   */
  show(items) {
    const top = this.viewport.scrollTop;
    const seen = top > 0 && this.#height ? this.#items[Math.floor(top / this.#height)] : undefined;
    this.#items = items;
    this.#places = new Map(items.map((item, place) => [this.#keyOf(item), place]));
    if (this.#active !== null && !this.#places.has(this.#active)) this.#active = null;
    this.#resize();
    const place = seen === undefined ? undefined : this.#places.get(this.#keyOf(seen));
    if (place !== undefined) this.viewport.scrollTop = place * this.#height + (top % this.#height);
    this.render();
  }

  /** Brings the rows there are up to date. */
  refresh() {
    for (const row of this.#rows.values()) row.update(row.item);
  }

  /** Moves to the row of that key, as far as there is one. */
  focus(key) {
    const place = this.#places.get(key);
    if (place !== undefined) this.#goTo(place, 0);
  }

  #measure() {
    const height = parseFloat(getComputedStyle(this.viewport).getPropertyValue('--row'));
    if (height && height !== this.#height) {
      this.#height = height;
      this.#resize();
    }
    this.render();
  }

  #resize() {
    this.track.style.height = `${this.#items.length * this.#height}px`;
    this.#empty.hidden = this.#items.length > 0;
    setText(this.#empty, this.#items.length ? '' : this.#emptyText());
  }

  /** Sees to it that the rows in view exist, and no others. */
  render() {
    if (!this.#height) return;
    const { scrollTop, clientHeight } = this.viewport;
    const first = Math.max(0, Math.floor(scrollTop / this.#height) - OVERSCAN);
    const last = Math.min(
      this.#items.length,
      Math.ceil((scrollTop + clientHeight) / this.#height) + OVERSCAN,
    );
    const wanted = new Map();
    for (let place = first; place < last; place += 1)
      wanted.set(this.#keyOf(this.#items[place]), place);
    // Focus must not be lost by scrolling away from it.
    if (this.#active !== null) wanted.set(this.#active, this.#places.get(this.#active));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      this.#rows.delete(key);
      row.element.remove();
      if (this.#spare.length < OVERSCAN * 4) this.#spare.push(row);
    }
    const tabbable = this.#active ?? this.#firstKey(first);
    for (const [key, place] of wanted) this.#place(key, place, key === tabbable);
  }

  #firstKey(first) {
    const item = this.#items[Math.min(first + OVERSCAN, this.#items.length - 1)];
    const top = this.viewport.scrollTop === 0 ? this.#items[0] : item;
    return top === undefined ? null : this.#keyOf(top);
  }

  #place(key, place, tabbable) {
    let row = this.#rows.get(key);
    const item = this.#items[place];
    if (!row) {
      row = this.#spare.pop() ?? this.#make();
      this.#rows.set(key, row);
      row.element.dataset.key = key;
      this.track.append(row.element);
    }
    row.item = item;
    row.update(item);
    row.element.style.transform = `translateY(${place * this.#height}px)`;
    setAttribute(row.element, 'aria-posinset', place + 1);
    setAttribute(row.element, 'aria-setsize', this.#items.length);
    const index = tabbable ? 0 : -1;
    for (const control of controlsOf(row.element))
      if (control.tabIndex !== index) control.tabIndex = index;
  }

  #onFocus(event) {
    const key = event.target.closest?.('[data-key]')?.dataset.key ?? null;
    if (key !== null && key !== this.#active) {
      this.#active = key;
      this.render();
    }
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const element = event.target.closest?.('[data-key]');
    if (!element) return;
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / this.#height) - 1);
    const step = STEPS[event.key] ?? { PageDown: page, PageUp: -page }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const place = this.#places.get(element.dataset.key) ?? 0;
    const which = controlsOf(element).indexOf(event.target);
    this.#goTo(Math.min(this.#items.length - 1, Math.max(0, place + step)), Math.max(0, which));
  }

  #goTo(place, which) {
    const item = this.#items[place];
    if (item === undefined) return;
    const top = place * this.#height;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + this.#height > scrollTop + clientHeight)
      this.viewport.scrollTop = top + this.#height - clientHeight;
    this.#active = this.#keyOf(item);
    this.render();
    const controls = controlsOf(/** @type {any} */ (this.#rows.get(this.#active)).element);
    (controls[which] ?? controls[0])?.focus({ preventScroll: true });
  }
}

/** What can be pressed in a row and is there to be pressed. */
const controlsOf = (element) =>
  [...element.querySelectorAll('button, a[href]')].filter((control) => !control.hidden);

/** The title of a panel, with how many there are, and room for what else belongs there. */
export const panelHead = (id, title, ...others) => {
  const number = el('span.count');
  const heading = el(
    'h2',
    { id: `${id}-title` },
    el('span', { 'data-t': title }, t(title)),
    number,
  );
  const head = el('div.panel-head', null, heading, ...others);
  return {
    head,
    count: (text) => {
      setText(number, text);
      number.hidden = text === '';
    },
  };
};

/** The part of a panel that scrolls. */
export const panelList = (title) =>
  el('div.scroll', {
    role: 'group',
    'data-label': title,
    'aria-label': t(title),
    'aria-description': t('list.hint'),
  });
