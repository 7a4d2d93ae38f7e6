/**
 * Alarms: what is open first, the worst on top; to be acknowledged and cleared.
 */

import { el, icon, setIcon, setText } from '../dom.js';
import * as format from '../format.js';
import { VirtualList, panelHead, panelList } from '../list.js';
import { t } from '../strings.js';

const SEVERITIES = ['critical', 'major', 'minor', 'warning', 'info'];
const STATES = ['active', 'acknowledged', 'cleared'];

/** Open ones first, unseen before seen, the worst first, then the newest. */
const byUrgency = (a, b) =>
  STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
  (a.state === 'cleared' ? 0 : SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity)) ||
  (b.cleared ?? b.last_raised) - (a.cleared ?? a.last_raised);

/** Who did it, and when. */
const story = (alarm) => {
  if (alarm.state === 'cleared') {
    return alarm.cleared_by
      ? t('alarms.cleared', { who: alarm.cleared_by, time: format.time(alarm.cleared) })
      : t('alarms.clearedByRule', { time: format.time(alarm.cleared) });
  }
  if (alarm.state === 'acknowledged')
    return t('alarms.acknowledged', {
      who: alarm.acknowledged_by,
      time: format.time(alarm.acknowledged),
    });
  return t('alarms.raised', { time: format.time(alarm.raised) });
};

export class Alarms {
  #store;
  #act;
  #all = false;
  #head;
  #list;
  #tabs;

  /** @param {(what: 'acknowledge' | 'clear', alarm: any) => void} act */
  constructor(section, store, act) {
    this.#store = store;
    this.#act = act;
    this.#tabs = ['open', 'all'].map((which) =>
      el(
        'button.tab',
        {
          type: 'button',
          'aria-pressed': String(which === 'open'),
          'data-t': `alarms.${which}`,
          onclick: () => this.#pick(which === 'all'),
        },
        t(`alarms.${which}`),
      ),
    );
    const tabs = el(
      'div.tabs',
      { role: 'group', 'data-label': 'alarms.which', 'aria-label': t('alarms.which') },
      ...this.#tabs,
    );
    this.#head = panelHead('alarms', 'alarms.title', tabs);
    const viewport = panelList('alarms.title');
    section.append(this.#head.head, viewport);
    this.#list = new VirtualList(viewport, {
      row: () => this.#row(),
      key: (alarm) => alarm.id,
      empty: () => t(this.#all ? 'alarms.none' : 'alarms.quiet'),
    });
  }

  #pick(all) {
    this.#all = all;
    this.#tabs.forEach((tab, place) =>
      tab.setAttribute('aria-pressed', String(Boolean(place) === all)),
    );
    this.paint(new Set(['alarms']));
  }

  #row() {
    let shown;
    const mark = icon('info', 'severity-mark');
    const severity = el('span.severity');
    const name = el('strong.name');
    const device = el('span.device');
    const text = el('span.text');
    const times = el('span.times');
    const when = el('span.when');
    const button = (what) =>
      el(`button.small.${what}`, { type: 'button', onclick: () => this.#act(what, shown) });
    const [acknowledge, clear] = [button('acknowledge'), button('clear')];
    const element = el(
      'li.row.alarm',
      null,
      mark,
      el(
        'div.lines',
        null,
        el('div.line', null, name, device, severity, times),
        el('div.line.muted', null, text, when),
      ),
      el('div.buttons', null, acknowledge, clear),
    );
    return {
      element,
      update: (alarm) => {
        shown = alarm;
        element.dataset.severity = alarm.severity;
        element.dataset.state = alarm.state;
        setIcon(mark, SEVERITIES.includes(alarm.severity) ? alarm.severity : 'info');
        setText(
          severity,
          t(`severity.${SEVERITIES.includes(alarm.severity) ? alarm.severity : 'info'}`),
        );
        setText(name, alarm.alarm);
        setText(device, alarm.device_id ?? '');
        setText(text, alarm.text);
        setText(
          times,
          alarm.count > 1 ? t('alarms.times', { count: format.count(alarm.count) }) : '',
        );
        setText(when, story(alarm));
        when.title = `${format.exact(alarm.raised)} – ${format.exact(alarm.last_raised)}`;
        const given = { alarm: alarm.alarm, device: alarm.device_id ?? '' };
        acknowledge.hidden = alarm.state !== 'active';
        clear.hidden = alarm.state === 'cleared';
        setText(acknowledge, t('alarms.acknowledge'));
        setText(clear, t('alarms.clear'));
        acknowledge.setAttribute('aria-label', t('alarms.acknowledgeOf', given));
        clear.setAttribute('aria-label', t('alarms.clearOf', given));
      },
    };
  }

  /** Keeps the keyboard where it was: on what can still be pressed, or on the row that took over. */
  #keepFocus(act) {
    const before = document.activeElement?.closest('.alarm');
    const key = before instanceof HTMLElement ? before.dataset.key : undefined;
    const place = this.#list.items.findIndex((alarm) => alarm.id === key);
    act();
    const left = document.activeElement;
    if (key === undefined || (left?.closest('.alarm') && !left.hidden)) return;
    const { items } = this.#list;
    const next =
      items.find((alarm) => alarm.id === key && alarm.state !== 'cleared') ??
      items[Math.min(Math.max(place, 0), items.length - 1)];
    if (next) this.#list.focus(next.id);
  }

  paint(changed) {
    if (!changed.has('alarms') && !changed.has('all')) return;
    const all = [...this.#store.alarms.values()];
    const open = all.filter((alarm) => alarm.state !== 'cleared');
    const shown = (this.#all ? all : open).sort(byUrgency);
    this.#head.count(open.length ? format.count(open.length) : '');
    this.#head.head.parentElement.classList.toggle('has-open', open.length > 0);
    this.#keepFocus(() => this.#list.show(shown));
  }
}
