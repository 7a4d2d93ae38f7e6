/**
 * One device: a curve of any of its values over any time there is, all its values, what fired.
 */

import { drawChart, extent } from '../chart.js';
import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { CURVE_INTERVAL_MS, SERIES_POINTS, SERIES_STEP_MS } from '../limits.js';
import { statusWords } from '../panels/commands.js';
import { GAP_MS, spanOf } from '../panels/devices.js';
import { t } from '../strings.js';
import { facts, part } from './sheet.js';

const HOUR_MS = 3_600_000;
/** What can be looked at; the first needs no history. */
const RANGES = [
  { name: 'live', ms: SERIES_POINTS * SERIES_STEP_MS },
  { name: 'hour', ms: HOUR_MS },
  { name: 'day', ms: 24 * HOUR_MS },
  { name: 'week', ms: 7 * 24 * HOUR_MS },
];
/** Points of a curve out of history. */
const CURVE_POINTS = 360;
const LOGGED_MAX = 20;

export class DeviceSheet {
  #store;
  #device;
  #history;
  #go;
  #range = RANGES[0];
  #name = null;
  #past = [];
  #asked = 0;
  #pointer = null;
  #drawn_at = 0;
  #observer;
  #canvas = el('canvas.chart', { role: 'img', tabindex: '0' });
  #empty = el('p.empty', { hidden: true });
  #summary = el('p.muted.summary');
  #names = el('div.chips', { role: 'group', 'aria-label': t('device.curve') });
  #ranges = el('div.tabs', { role: 'group', 'aria-label': t('device.range') });
  #table = el('tbody');
  #cells = new Map();
  #facts = el('div');
  #log = el('div');

  constructor(store, device, history, go) {
    this.#store = store;
    this.#device = device;
    this.#history = history;
    this.#go = go;
    this.#name = this.#numbers()[0] ?? null;
    const ranges = history.isThere ? RANGES : RANGES.slice(0, 1);
    this.#ranges.append(
      ...ranges.map((range) =>
        el(
          'button.tab',
          {
            type: 'button',
            'aria-pressed': String(range === this.#range),
            onclick: () => this.#pickRange(range),
          },
          t(`device.${range.name}`),
        ),
      ),
    );
    this.#canvas.addEventListener('pointermove', (event) => this.#point(event.offsetX));
    this.#canvas.addEventListener('pointerleave', () => this.#point(null));
    this.#canvas.addEventListener('keydown', (event) => this.#step(event));
    this.#observer = new ResizeObserver(() => this.#draw());
    this.#observer.observe(this.#canvas);
  }

  /** Names of the values that have curves. */
  #numbers() {
    return this.#store
      .namesOf(this.#device)
      .filter((name) => typeof this.#device.values.get(name).value === 'number');
  }

  content() {
    const head = [t('device.name'), t('device.value'), t('device.age')];
    const element = el(
      'div.device-sheet',
      null,
      this.#facts,
      el('div.chart-head', null, this.#names, this.#ranges),
      el('div.chart-box', null, this.#canvas, this.#empty),
      this.#summary,
      part(
        t('device.values'),
        el(
          'table.values-table',
          null,
          el(
            'thead',
            null,
            el(
              'tr',
              null,
              ...head.map((word, place) => el(place ? 'th.numeric' : 'th', { scope: 'col' }, word)),
            ),
          ),
          this.#table,
        ),
      ),
      this.#log,
    );
    return {
      title: this.#device.name,
      kicker: t('devices.title'),
      element,
      paint: (changed) => this.#paint(changed),
      end: () => this.#observer.disconnect(),
    };
  }

  #paint(changed) {
    const all = changed.has('all');
    if (all || changed.has('devices') || changed.has('presence')) this.#paintFacts();
    if (all || changed.has('values') || changed.has('age')) this.#paintValues();
    if (all || changed.has('firings') || changed.has('commands')) this.#paintLog();
    if (all || performance.now() - this.#drawn_at > CURVE_INTERVAL_MS) this.#draw();
  }

  #paintFacts() {
    const device = this.#device;
    const product = this.#store.products.get(device.product_id);
    const state = t(device.online ? 'devices.online' : 'devices.offline');
    const tags = Object.entries(device.tags)
      .map(([name, value]) => (value ? `${name}: ${value}` : name))
      .join(', ');
    const said = [
      [
        t('commands.status'),
        el(
          'span.state-line',
          null,
          el('span.lamp', { 'data-state': device.online ? 'on' : 'off' }),
          device.enabled ? state : `${state}, ${t('devices.disabled')}`,
        ),
      ],
      [
        t('device.lastOnline'),
        device.online || device.last_online === null ? null : format.exact(device.last_online),
      ],
      [t('device.product'), product?.name],
      [t('device.tags'), tags],
    ];
    this.#facts.replaceChildren(facts(said));
  }

  #paintValues() {
    for (const name of this.#store.namesOf(this.#device)) {
      let cell = this.#cells.get(name);
      if (!cell) {
        cell = { value: el('span'), unit: el('span.value-unit'), age: el('td.numeric.muted') };
        this.#cells.set(name, cell);
        this.#table.append(
          el(
            'tr',
            null,
            el('th', { scope: 'row' }, name),
            el('td.numeric', null, cell.value, cell.unit),
            cell.age,
          ),
        );
      }
      const { value, ts } = this.#device.values.get(name);
      const unit = this.#store.unitOf(this.#device, name);
      setText(cell.value, format.value(value));
      setText(cell.unit, unit ? ` ${unit}` : '');
      setText(cell.age, format.age(ts));
    }
    const numbers = this.#numbers();
    if (this.#names.childElementCount !== numbers.length) {
      this.#name ??= numbers[0] ?? null;
      this.#names.replaceChildren(
        ...numbers.map((name) =>
          el(
            'button.tab',
            {
              type: 'button',
              'aria-pressed': String(name === this.#name),
              onclick: () => this.#pickName(name),
            },
            name,
          ),
        ),
      );
    }
  }

  #paintLog() {
    const { key } = this.#device;
    const firings = this.#store.firings
      .filter((firing) => firing.device_id === key)
      .slice(0, LOGGED_MAX);
    const commands = [...this.#store.commands.values()]
      .filter((command) => command.device_id === key)
      .sort((a, b) => b.requested - a.requested)
      .slice(0, LOGGED_MAX);
    const lines = (entries, make) =>
      entries.length
        ? el('ul.plain.log', null, ...entries.map(make))
        : el('p.muted', null, t('device.none'));
    this.#log.replaceChildren(
      part(
        t('device.firings'),
        lines(firings, (firing) =>
          el(
            'li',
            null,
            el('time', null, format.time(firing.at)),
            el(
              'button.link',
              { type: 'button', onclick: () => this.#go.firing(firing.id) },
              firing.rule_name,
            ),
          ),
        ),
      ),
      part(
        t('device.commands'),
        lines(commands, (command) =>
          el(
            'li',
            null,
            el('time', null, format.time(command.requested)),
            el(
              'button.link',
              { type: 'button', onclick: () => this.#go.command(command.id) },
              command.command,
            ),
            el('span.chip', { 'data-status': command.status }, statusWords(command.status)),
          ),
        ),
      ),
    );
  }

  #pickName(name) {
    this.#name = name;
    [...this.#names.children].forEach((chip) =>
      chip.setAttribute('aria-pressed', String(chip.textContent === name)),
    );
    this.#load();
  }

  #pickRange(range) {
    this.#range = range;
    [...this.#ranges.children].forEach((tab, place) =>
      tab.setAttribute('aria-pressed', String(RANGES[place] === range)),
    );
    this.#load();
  }

  async #load() {
    this.#past = [];
    this.#pointer = null;
    const asked = (this.#asked += 1);
    this.#draw();
    if (this.#range === RANGES[0] || this.#name === null) return;
    const to = format.now();
    const step_ms = Math.ceil(this.#range.ms / CURVE_POINTS / 1000) * 1000;
    const points = await this.#history.points(
      this.#device,
      this.#name,
      to - this.#range.ms,
      to,
      step_ms,
    );
    if (asked !== this.#asked) return; // something else is looked at by now
    this.#past = points;
    this.#draw();
  }

  #view() {
    const series = this.#name === null ? undefined : this.#store.seriesOf(this.#device, this.#name);
    if (this.#range !== RANGES[0]) {
      const to = format.now();
      return {
        points: this.#past,
        from: to - this.#range.ms,
        to,
        gap_ms: (this.#range.ms / CURVE_POINTS) * 4,
      };
    }
    if (!series || Number.isNaN(series.newest_ms)) return { points: [], from: 0, to: 1, gap_ms: 1 };
    this.#history.want(this.#device, this.#name, series);
    const span = spanOf(series, this.#store.curves_since_ms);
    return { points: series.points().filter(([at]) => at >= span.from), ...span, gap_ms: GAP_MS };
  }

  #draw() {
    this.#drawn_at = performance.now();
    const { points, ...view } = this.#view();
    const unit = this.#name === null ? '' : this.#store.unitOf(this.#device, this.#name);
    this.#empty.hidden = points.length > 0;
    this.#canvas.classList.toggle('is-empty', points.length === 0);
    setText(this.#empty, t(this.#range === RANGES[0] ? 'device.noCurve' : 'device.noHistory'));
    const marks = this.#store.firings
      .filter((firing) => firing.device_id === this.#device.key)
      .map((firing) => firing.ts);
    drawChart(this.#canvas, points, { ...view, marks, pointer: this.#pointer, unit });
    if (!points.length) {
      this.#canvas.setAttribute('aria-label', this.#empty.textContent);
      return setText(this.#summary, '');
    }
    const [min, max] = extent(points);
    const words = (value) =>
      `${format.number(Number(value.toPrecision(4)))}${unit ? ` ${unit}` : ''}`;
    const said = t('device.summary', {
      name: this.#name,
      last: words(points[points.length - 1][1]),
      min: words(min),
      max: words(max),
    });
    setText(this.#summary, said);
    this.#canvas.setAttribute('aria-label', said);
    return undefined;
  }

  #point(place) {
    this.#pointer = place;
    this.#draw();
  }

  /** Arrow keys move what the pointer would. */
  #step(event) {
    const step = { ArrowLeft: -8, ArrowRight: 8 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const { clientWidth } = this.#canvas;
    this.#point(Math.min(clientWidth, Math.max(0, (this.#pointer ?? clientWidth / 2) + step)));
  }
}
