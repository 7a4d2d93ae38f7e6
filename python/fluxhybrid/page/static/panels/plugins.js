/**
 * Plugins: whether they do their work. Not shown where the server has none.
 */

import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { known, t } from '../strings.js';

/** A plugin's health, in the language spoken where there is a text for it. */
export const healthWords = (health) =>
  known(`health.${health}`) ? t(`health.${health}`) : String(health ?? '');

/** All failures of a plugin, whatever their reason. */
export const failuresOf = ({ failures = [] }) =>
  [failures].flat().reduce((sum, one) => sum + one, 0);

/** What needs to be looked at stands on top. */
const HEALTHS = ['refused', 'set_aside', 'running', 'available'];

export class Plugins {
  #store;
  #section;
  #open;
  #list;
  #head;

  /** @param {(plugin: any) => void} open */
  constructor(section, store, open) {
    this.#store = store;
    this.#section = section;
    this.#open = open;
    this.#head = panelHead('plugins', 'plugins.title');
    const viewport = panelList('plugins.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (plugin) => plugin.id,
      empty: () => t('plugins.none'),
    });
  }

  #row() {
    let shown;
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) });
    const version = el('span.muted');
    const calls = el('span');
    const failures = el('span.failures');
    const pool = el('span');
    const problem = el('span.text.failures');
    const health = el('span.chip');
    const element = el(
      'li.row.plugin',
      null,
      el(
        'div.lines',
        null,
        el('div.line', null, open, version),
        el('div.line.muted', null, problem, calls, failures, pool),
      ),
      health,
    );
    return {
      element,
      update: (plugin) => {
        shown = plugin;
        const { calls: counted = {}, pool: { available, max_size } = {} } = plugin;
        const failed = failuresOf(counted);
        setText(open, plugin.title ?? plugin.id);
        setText(version, plugin.version ?? '');
        setText(problem, plugin.problems?.[0]?.message ?? '');
        setText(calls, t('plugins.calls', { count: format.brief(counted.calls ?? 0) }));
        setText(failures, failed ? t('plugins.failures', { count: format.brief(failed) }) : '');
        setText(
          pool,
          max_size === undefined ? '' : t('plugins.pool', { available, max: max_size }),
        );
        health.dataset.status = plugin.health;
        setText(health, healthWords(plugin.health));
      },
    };
  }

  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (!changed.has('plugins') && !changed.has('all')) return;
    const { plugins } = this.#store;
    this.#section.hidden = plugins === null;
    if (plugins === null) return;
    const rank = (plugin) => HEALTHS.indexOf(plugin.health);
    const shown = plugins.toSorted((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
    this.#head.count(plugins.length ? format.count(plugins.length) : '');
    this.#list.show(shown);
  }
}
