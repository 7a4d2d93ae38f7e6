/**
 * Commands, newest first, with what became of them.
 */

import { el, setText } from '../dom.js';
import * as format from '../format.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { known, t } from '../strings.js';

export const statusWords = (status) =>
  known(`command.${status}`) ? t(`command.${status}`) : status;

export class Commands {
  #store;
  #open;
  #list;
  #head;

  /** @param {(command: any) => void} open */
  constructor(section, store, open) {
    this.#store = store;
    this.#open = open;
    this.#head = panelHead('commands', 'commands.title');
    const viewport = panelList('commands.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (command) => command.id,
      empty: () => t('commands.none'),
    });
  }

  #row() {
    let shown;
    const when = el('time.when');
    const open = el('button.open', { type: 'button', onclick: () => this.#open(shown) });
    const device = el('span.device');
    const status = el('span.chip');
    const took = el('span.took.muted');
    const element = el(
      'li.row.command',
      null,
      when,
      el('div.line', null, open, device),
      took,
      status,
    );
    return {
      element,
      update: (command) => {
        shown = command;
        setText(when, format.time(command.requested));
        when.title = format.exact(command.requested);
        setText(open, command.command);
        setText(device, command.device_id);
        status.dataset.status = command.status;
        setText(status, statusWords(command.status));
        const answered =
          command.finished !== null && command.sent !== null && command.status !== 'unanswered';
        setText(took, answered ? t('commands.took', { ms: command.finished - command.sent }) : '');
      },
    };
  }

  focus(key) {
    this.#list.focus(key);
  }

  paint(changed) {
    if (!changed.has('commands') && !changed.has('all')) return;
    const shown = [...this.#store.commands.values()].sort((a, b) => b.requested - a.requested);
    this.#head.count(shown.length ? format.count(shown.length) : '');
    this.#list.show(shown);
  }
}
