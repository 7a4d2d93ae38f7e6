/**
 * What was refused lately and why: for who looks for a device that does not show up.
 */

import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { known, t } from '../strings.js';

/** Why, in the language spoken where there is a text for it, in the server's words otherwise. */
export const whyWords = (refusal) => {
  const name = `code.${refusal.code}`;
  return known(name) ? t(name) : refusal.reason;
};

export const attemptWords = (attempt) =>
  known(`attempt.${attempt}`) ? t(`attempt.${attempt}`) : attempt;

/** The best name there is for who it was. */
export const whoWords = (refusal) =>
  refusal.username ||
  refusal.source ||
  refusal.client_id ||
  refusal.address ||
  t('refusals.stranger');

export class Refusals {
  #store;
  #open;
  #list;
  #head;
  #note = el('p.note', { hidden: true });

  /** @param {(refusal: any) => void} open */
  constructor(section, store, open) {
    this.#store = store;
    this.#open = open;
    this.#head = panelHead('refusals', 'refusals.title');
    const viewport = panelList('refusals.title');
    section.append(this.#head.head, viewport, this.#note);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (refusal) => refusal.id,
      empty: () => t('refusals.none'),
    });
  }

  #row() {
    let shown;
    const attempt = el('span.chip.attempt');
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) });
    const times = el('span.times');
    const age = el('span.age');
    const why = el('span.text');
    const topic = el('code.topic');
    const element = el(
      'li.row.refusal',
      null,
      attempt,
      el(
        'div.lines',
        null,
        el('div.line', null, open, times, topic),
        el('div.line.muted', null, why),
      ),
      age,
    );
    return {
      element,
      update: (refusal) => {
        shown = refusal;
        attempt.dataset.attempt = refusal.attempt;
        setText(attempt, attemptWords(refusal.attempt));
        setText(open, whoWords(refusal));
        setText(times, refusal.count > 1 ? `×${format.brief(refusal.count)}` : '');
        setText(age, format.age(refusal.at));
        age.title = format.exact(refusal.at);
        setText(why, whyWords(refusal));
        setText(topic, refusal.topic ?? '');
      },
    };
  }

  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (changed.has('refusals') || changed.has('all')) {
      const shown = [...this.#store.refusals.values()].sort((a, b) => b.at - a.at);
      this.#head.count(shown.length ? format.count(shown.length) : '');
      this.#list.show(shown);
      const unlisted = this.#store.refusals_unlisted;
      this.#note.hidden = !unlisted;
      setText(
        this.#note,
        unlisted ? t('refusals.unlisted', { count: format.count(unlisted) }) : '',
      );
    } else if (changed.has('age')) {
      this.#list.refresh();
    }
  }
}
