/**
 * Rules: whether they run, how often they fired lately, and when last.
 */

import { coloursTurn, drawBars } from '../chart.js';
import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { RULE_BARS } from '../limits.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { language, t } from '../strings.js';

const MINUTE_MS = 60_000;

/** Firings in each of the last minutes, the newest at the end. */
const bars = (fired) => {
  const minute = Math.floor(format.now() / MINUTE_MS);
  return Array.from(
    { length: RULE_BARS },
    (_, place) => fired.minutes.get(minute - RULE_BARS + 1 + place) ?? 0,
  );
};

export class Rules {
  #store;
  #open;
  #list;
  #head;

  /** @param {(rule: any) => void} open */
  constructor(section, store, open) {
    this.#store = store;
    this.#open = open;
    this.#head = panelHead('rules', 'rules.title');
    const viewport = panelList('rules.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (rule) => rule.id,
      empty: () => t('rules.none'),
    });
  }

  #row() {
    let shown;
    let drawn;
    const state = el('span.state');
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) });
    const last = el('span.last.muted');
    const canvas = el('canvas.bars', { 'aria-hidden': 'true' });
    const spoken = el('span.unseen');
    const times = el('span.number');
    const element = el(
      'li.row.rule',
      null,
      state,
      el('div.lines', null, open, last),
      canvas,
      times,
      spoken,
    );
    return {
      element,
      update: (rule) => {
        shown = rule;
        element.classList.toggle('is-off', !rule.enabled);
        state.dataset.state = rule.enabled ? 'on' : 'off';
        setText(state, t(rule.enabled ? 'rules.on' : 'rules.off'));
        setText(open, rule.name);
        setText(last, lastWords(rule.fired.last));
        setText(times, rule.fired.count ? `×${format.brief(rule.fired.count)}` : '');
        const counts = bars(rule.fired);
        setText(spoken, t('rules.bars', { count: counts.reduce((sum, one) => sum + one, 0) }));
        canvas.title = spoken.textContent;
        const said = `${counts} ${canvas.clientWidth} ${coloursTurn()}`;
        if (said !== drawn) {
          drawn = said;
          drawBars(canvas, counts);
        }
      },
    };
  }

  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (changed.has('rules') || changed.has('all')) {
      const { compare } = new Intl.Collator(language(), { numeric: true });
      const shown = [...this.#store.rules.values()].sort(
        (a, b) => Number(b.enabled) - Number(a.enabled) || compare(a.name, b.name),
      );
      this.#head.count(shown.length ? format.count(shown.length) : '');
      this.#list.show(shown);
    } else if (changed.has('age')) {
      this.#list.refresh();
    }
  }
}

const lastWords = (firing) => {
  if (!firing) return t('rules.never');
  const ago =
    format.now() - firing.at < 1000
      ? t('rules.lastNow')
      : t('rules.last', { age: format.age(firing.at) });
  return firing.device_id ? `${ago} ${t('rules.by', { device: firing.device_id })}` : ago;
};
