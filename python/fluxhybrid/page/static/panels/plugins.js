/**
 * Plugins: whether they do their work. Not shown where the server has none.
 */

import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { t } from '../strings.js';

export class Plugins {
  #store;
  #section;
  #list;
  #head;

  constructor(section, store) {
    this.#store = store;
    this.#section = section;
    this.#head = panelHead('plugins', 'plugins.title');
    const viewport = panelList('plugins.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (plugin) => String(plugin.id ?? plugin.name),
      empty: () => t('plugins.none'),
    });
  }

  #row() {
    const name = el('strong.name');
    const version = el('span.muted');
    const calls = el('span.text');
    const failures = el('span.failures');
    const pool = el('span');
    const state = el('span.chip');
    const element = el('li.row.plugin', { tabindex: '-1' },
      el('div.lines', null, el('div.line', null, name, version), el('div.line.muted', null, calls, failures, pool)), state);
    return {
      element,
      update: (plugin) => {
        setText(name, String(plugin.name ?? plugin.id));
        setText(version, String(plugin.version ?? ''));
        setText(calls, t('plugins.calls', { count: format.brief(plugin.calls ?? 0) }));
        setText(failures, plugin.failures ? t('plugins.failures', { count: format.brief(plugin.failures) }) : '');
        const { available, max_size } = plugin.pool ?? {};
        setText(pool, max_size === undefined ? '' : t('plugins.pool', { available, max: max_size }));
        const said = String(plugin.state ?? plugin.status ?? '');
        state.dataset.status = said;
        setText(state, said);
      },
    };
  }

  paint(changed) {
    if (!changed.has('plugins') && !changed.has('all')) return;
    const { plugins } = this.#store;
    this.#section.hidden = plugins === null;
    if (plugins === null) return;
    this.#head.count(plugins.length ? format.count(plugins.length) : '');
    this.#list.show(plugins);
  }
}
