/**
 * Firings, newest first: which rule, on what values, and what it called for.
 */

import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { FIRINGS_MAX } from '../limits.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { known, t } from '../strings.js';

/** What a firing called for, in a few words. */
export const actionWords = (action) => {
  const name = `action.${String(action.type ?? '').toLowerCase()}`;
  return known(name) ? t(name, action) : String(action.type ?? '');
};

/** A firing's values in one line. */
export const valueWords = (values) =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${format.value(value)}`)
    .join(' · ');

export class Firings {
  #store;
  #open;
  #list;
  #head;
  #rule = null;
  #every;

  /** @param {(firing: any) => void} open */
  constructor(section, store, open) {
    this.#store = store;
    this.#open = open;
    this.#every = el('button.tab.only', {
      type: 'button',
      hidden: true,
      onclick: () => this.only(null),
    });
    this.#head = panelHead('firings', 'firings.title', this.#every);
    const viewport = panelList('firings.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (firing) => firing.id,
      empty: () => t(this.#rule ? 'firings.noneOf' : 'firings.none'),
    });
  }

  /** Shows the firings of one rule, or of all. */
  only(rule_id) {
    this.#rule = rule_id;
    this.paint(new Set(['firings']));
    this.#list.viewport.scrollTop = 0;
  }

  #row() {
    let shown;
    const when = el('time.when');
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) });
    const device = el('span.device');
    const values = el('span.text');
    const actions = el('span.actions');
    const element = el(
      'li.row.firing',
      null,
      when,
      el(
        'div.lines',
        null,
        el('div.line', null, open, device),
        el('div.line.muted', null, values, actions),
      ),
    );
    return {
      element,
      update: (firing) => {
        if (firing === shown && element.dataset.spoken === document.documentElement.lang) return;
        shown = firing;
        element.dataset.spoken = document.documentElement.lang;
        setText(when, format.time(firing.at));
        when.title = format.exact(firing.at);
        setText(open, firing.rule_name);
        setText(device, firing.device_id ?? firing.topic);
        setText(values, valueWords(firing.values));
        setText(actions, firing.actions.map(actionWords).join(', '));
        element.title = firing.triggered ? '' : t('firings.untriggered');
      },
    };
  }

  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (!changed.has('firings') && !changed.has('rules') && !changed.has('all')) return;
    const rule = this.#rule && this.#store.rules.get(this.#rule);
    if (!rule) this.#rule = null;
    this.#every.hidden = !rule;
    if (rule) setText(this.#every, `${rule.name} ✕`);
    this.#every.setAttribute('aria-label', t('firings.every'));
    const shown = rule
      ? this.#store.firings.filter((firing) => firing.rule_id === rule.id)
      : this.#store.firings.slice();
    const full = this.#store.firings.length >= FIRINGS_MAX;
    this.#head.count(shown.length ? `${format.count(shown.length)}${full ? '+' : ''}` : '');
    this.#list.show(shown);
  }
}
