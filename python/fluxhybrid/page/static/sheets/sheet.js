/**
 * The sheet that slides in with the details of one thing.
 *
 * Owns the dialog: the browser keeps the keyboard in it, and Escape closes it. Who opened it gets
 * the keyboard back.
 */

import { el, icon } from '../dom.js';
import { t } from '../strings.js';

export class Sheet {
  #dialog;
  #content = null;
  #back = () => {};

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener('close', () => this.#closed());
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }

  /**
   * Shows something.
   * @param {{ title: string, kicker: string, element: Node, paint?: (changed: Set<string>) => void,
   *   end?: () => void }} content
   * @param {() => void} back what to do with the keyboard once it is closed
   */
  open(content, back) {
    this.#content?.end?.();
    this.#content = content;
    this.#back = back;
    const close = el(
      'button.quiet.square',
      { type: 'button', 'aria-label': t('sheet.close'), onclick: () => this.#dialog.close() },
      icon('close'),
    );
    const head = el(
      'header.sheet-head',
      null,
      el(
        'div',
        null,
        el('p.kicker', null, content.kicker),
        el('h2', { id: 'sheet-title', tabindex: '-1' }, content.title),
      ),
      close,
    );
    this.#dialog.replaceChildren(head, el('div.sheet-body', null, content.element));
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.querySelector('h2').focus();
    content.paint?.(new Set(['all']));
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  #closed() {
    if (this.#dialog.open) return; // told late: something else is shown by now
    this.#content?.end?.();
    this.#content = null;
    this.#dialog.replaceChildren();
    this.#back();
  }

  paint(changed) {
    this.#content?.paint?.(changed);
  }
}

/**
 * Names and what they stand for; what is empty is left out.
 * @param {[string, Node | string | null | undefined][]} entries
 */
export const facts = (entries) =>
  el(
    'dl.facts',
    null,
    ...entries
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .flatMap(([name, value]) => [el('dt', null, name), el('dd', null, value)]),
  );

/** Something of any shape, as JSON in its own lines. */
export const json = (value) => el('pre', null, JSON.stringify(value, null, 2));

/** A heading with what stands below it. */
export const part = (title, ...children) =>
  el('div.part', null, el('h3', null, title), ...children);
