/**
 * The engine at a glance: what flows, what waits, what it takes of the machine, and what is wrong.
 */

import { el, icon, setText } from '../dom.js';
import { drawSpark } from '../chart.js';
import * as format from '../format.js';
import { SERIES_POINTS, SERIES_STEP_MS } from '../limits.js';
import { t } from '../strings.js';

const SPAN_MS = SERIES_POINTS * SERIES_STEP_MS;
const SPAN_MIN_MS = 30_000;
const GAP_MS = 10_000;

export class Vitals {
  #store;
  #since_ms = format.now();
  #tiles = {};
  #notices = el('ul.notices', { role: 'list' });

  constructor(section, store) {
    this.#store = store;
    const list = el('dl.tiles');
    for (const name of ['in', 'out', 'lag', 'devices', 'disk', 'memory'])
      list.append(this.#tile(name));
    section.append(list, this.#notices);
  }

  #tile(name) {
    const number = el('span.tile-number');
    const unit = el('span.tile-unit');
    const more = el('span.tile-more');
    const canvas =
      name === 'in' || name === 'out' ? el('canvas.tile-curve', { 'aria-hidden': 'true' }) : null;
    this.#tiles[name] = { number, unit, more, canvas };
    return el(
      `div.tile.tile-${name}`,
      null,
      el('dt', { 'data-t': `vitals.${name}` }, t(`vitals.${name}`)),
      el('dd', null, el('span.tile-line', null, number, unit), canvas ?? more),
    );
  }

  paint(changed) {
    if (!changed.has('status') && !changed.has('devices') && !changed.has('all')) return;
    const { status } = this.#store;
    if (!status) return;
    const { figures = {}, process = {} } = status;
    this.#put('in', rate(status.rate_in), t('vitals.perSecond'));
    this.#put('out', rate(status.rate_out), t('vitals.perSecond'));
    this.#put('lag', format.brief(figures.lag_records ?? 0), t('vitals.lagUnit'));
    const known = figures.devices ?? this.#store.devices.size;
    this.#put(
      'devices',
      format.count(figures.devices_online ?? 0),
      t('vitals.ofDevices', { count: format.count(known) }),
      t('vitals.clients', { count: format.count(figures.clients ?? 0) }),
    );
    this.#put(
      'disk',
      format.bytes(figures.log_bytes),
      '',
      t('vitals.diskFree', { bytes: format.bytes(process.disk_free_bytes) }),
    );
    this.#put(
      'memory',
      format.bytes(process.resident_bytes),
      '',
      t('vitals.up', { age: format.duration(format.now() - status.started_at_ms) }),
    );
    this.#curve('in');
    this.#curve('out');
    this.#notice(status);
  }

  #put(name, number, unit, more = '') {
    const tile = this.#tiles[name];
    setText(tile.number, number);
    setText(tile.unit, unit);
    setText(tile.more, more);
  }

  #curve(name) {
    const series = this.#store.rates[name];
    const to = series.newest_ms;
    if (Number.isNaN(to)) return;
    const span = Math.min(SPAN_MS, Math.max(SPAN_MIN_MS, to - this.#since_ms));
    drawSpark(this.#tiles[name].canvas, series.points(), {
      from: to - span,
      to,
      gap_ms: GAP_MS,
      zero: true,
    });
  }

  #notice(status) {
    const { engine = {}, figures = {}, generations } = status;
    const wrong = [];
    if (engine.status && engine.status !== 'ok') {
      const why = engine.log_stopped
        ? t('vitals.stopped', { why: engine.log_stopped })
        : t('vitals.threads');
      wrong.push(t('vitals.failing', { why }));
    }
    if (figures.log_full) wrong.push(t('vitals.full'));
    if (figures.durable === false) wrong.push(t('vitals.undurable'));
    if (generations && generations.stored !== generations.in_force)
      wrong.push(
        t('vitals.generations', { stored: generations.stored, inForce: generations.in_force }),
      );
    if (this.#store.skipped)
      wrong.push(t('link.skipped', { count: format.count(this.#store.skipped) }));
    const said = wrong.join('\n');
    if (this.#notices.dataset.said === said) return;
    this.#notices.dataset.said = said;
    this.#notices.replaceChildren(...wrong.map((text) => el('li', null, icon('warning'), text)));
  }
}

const rate = (value) => (value === undefined ? '–' : format.brief(value));
