/**
 * The page of somebody who has signed in: every panel, over one store that one plant fills.
 *
 * Owns the order of painting, the sheet, what is announced, and the end of all of it. Must never
 * keep a token.
 */

import { Api } from './api.js';
import { forgetColours } from './chart.js';
import { byId, el, setText } from './dom.js';
import { History } from './history.js';
import { AGE_INTERVAL_MS, ANNOUNCE_INTERVAL_MS, PAINT_INTERVAL_MS } from './limits.js';
import { Painter } from './paint.js';
import { Alarms } from './panels/alarms.js';
import { Commands } from './panels/commands.js';
import { Devices } from './panels/devices.js';
import { Firings } from './panels/firings.js';
import { Plugins } from './panels/plugins.js';
import { Refusals } from './panels/refusals.js';
import { Rules } from './panels/rules.js';
import { Vitals } from './panels/vitals.js';
import { Plant } from './plant.js';
import { DeviceSheet } from './sheets/device.js';
import {
  commandSheet,
  firingSheet,
  pluginSheet,
  refusalSheet,
  ruleSheet,
} from './sheets/records.js';
import { Sheet } from './sheets/sheet.js';
import { Store } from './store.js';
import { t } from './strings.js';

const PANELS = [
  'vitals',
  'alarms',
  'devices',
  'rules',
  'firings',
  'commands',
  'refusals',
  'plugins',
];
const TOAST_MS = 8_000;
const TOASTS_MAX = 3;

export class Live {
  #store = new Store();
  #api;
  #plant;
  #history;
  #panels;
  #sheet;
  #painter;
  #timers;
  #raised = [];
  #announce_timer = 0;
  #link = { state: 'connecting', until_ms: 0 };

  /**
   * @param {string} token
   * @param {() => void} signedOut called when the token is no good any more
   */
  constructor(token, signedOut) {
    this.#api = new Api(token);
    const store = this.#store;
    this.#painter = new Painter(() => this.#paint(store.takeChanged()), PAINT_INTERVAL_MS);
    store.onChange = () => this.#painter.request();
    store.onAlarm = (alarm) => this.#announce(alarm);
    this.#history = new History(this.#api, (points) => store.curvesReach(points));
    byId('live').hidden = false;
    byId('link').hidden = false;
    this.#sheet = theSheet();
    this.#panels = this.#makePanels();
    this.#plant = new Plant(this.#api, store, {
      state: (state, until_ms = 0) => this.#onLink(state, until_ms),
      signedOut,
      failed: (error) => toast(error.message),
    });
    this.#timers = [setInterval(() => this.#tick(), AGE_INTERVAL_MS)];
    this.repaint();
  }

  #makePanels() {
    const store = this.#store;
    const section = (name) => byId(name);
    return {
      vitals: new Vitals(section('vitals'), store),
      alarms: new Alarms(section('alarms'), store, (what, alarm) => this.#act(what, alarm)),
      devices: new Devices(
        section('devices'),
        store,
        (device) => this.#openDevice(device),
        this.#history,
      ),
      rules: new Rules(section('rules'), store, (rule) => this.#openRule(rule)),
      firings: new Firings(section('firings'), store, (firing) => this.#openFiring(firing)),
      commands: new Commands(section('commands'), store, (command) => this.#openCommand(command)),
      refusals: new Refusals(section('refusals'), store, (refusal) => this.#openRefusal(refusal)),
      plugins: new Plugins(section('plugins'), store, (plugin) => this.#openPlugin(plugin)),
    };
  }

  /** Ends everything and leaves nothing on the screen. */
  end() {
    this.#plant.end();
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#announce_timer);
    this.#painter.end();
    this.#sheet.close();
    for (const name of PANELS) byId(name).replaceChildren();
    byId('jump').replaceChildren();
    byId('live').hidden = true;
    byId('link').hidden = true;
    setText(byId('site'), '');
    document.title = 'fluxhybrid';
  }

  /** Paints everything anew: the language or the colours are others. */
  repaint() {
    forgetColours();
    this.#sheet.close();
    this.#paintJump();
    this.#paintLink();
    for (const node of document.querySelectorAll('[data-placeholder]'))
      node.setAttribute('placeholder', t(/** @type {any} */ (node).dataset.placeholder));
    this.#store.touch('all');
  }

  #paint(changed) {
    for (const panel of Object.values(this.#panels)) panel.paint(changed);
    this.#sheet.paint(changed);
    if (changed.has('status') || changed.has('alarms') || changed.has('all')) this.#paintTitle();
    if (changed.has('plugins')) this.#paintJump();
  }

  #paintTitle() {
    const site = this.#store.status?.site ?? '';
    setText(byId('site'), site);
    byId('site').title = `fluxhybrid ${this.#store.status?.version ?? ''}`;
    const active = [...this.#store.alarms.values()].filter(
      (alarm) => alarm.state === 'active',
    ).length;
    const title = [site, 'fluxhybrid'].filter(Boolean).join(' · ');
    document.title = active ? `(${active}) ${title}` : title;
  }

  /** Links to the panels, for screens on which not all of them are in view. */
  #paintJump() {
    const shown = PANELS.slice(1).filter((name) => !byId(name).hidden);
    byId('jump').replaceChildren(
      ...shown.map((name) => el('a', { href: `#${name}`, onclick: jump }, t(`${name}.title`))),
    );
  }

  #tick() {
    if (this.#link.state === 'waiting') this.#paintLink();
    this.#store.touch('age');
  }

  #onLink(state, until_ms) {
    this.#link = { state, until_ms };
    this.#paintLink();
  }

  #paintLink() {
    const { state, until_ms } = this.#link;
    const link = byId('link');
    link.dataset.state = state;
    const seconds = Math.max(0, Math.ceil((until_ms - Date.now()) / 1000));
    setText(link.querySelector('.link-text'), t(`link.${state}`, { seconds }));
  }

  async #act(what, alarm) {
    try {
      this.#store.putAlarm(await this.#api.post(`/alarms/${encodeURIComponent(alarm.id)}/${what}`));
    } catch (error) {
      toast(t('alarms.failed', { detail: error.message }));
    }
  }

  #announce(alarm) {
    this.#raised.push(alarm);
    if (this.#announce_timer) return;
    const say = () => {
      this.#announce_timer = 0;
      const raised = this.#raised.splice(0);
      if (!raised.length) return;
      const [{ alarm: name, device_id: device, severity }] = raised;
      const said =
        raised.length > 1
          ? t('alarms.several', { count: raised.length })
          : t('alarms.new', {
              alarm: name,
              device: device ?? '',
              severity: t(`severity.${severity}`),
            });
      byId('announcer').replaceChildren(el('span', null, said));
      this.#announce_timer = setTimeout(say, ANNOUNCE_INTERVAL_MS);
    };
    this.#announce_timer = setTimeout(say, 50);
  }

  // ---- the sheet

  #go = {
    device: (key) => this.#openDevice(this.#store.devices.get(key)),
    rule: (id) => this.#openRule(this.#store.rules.get(id)),
    firing: (id) => this.#openFiring(this.#store.firings.find((firing) => firing.id === id)),
    command: (id) => this.#openCommand(this.#store.commands.get(id)),
    only: (rule_id) => {
      this.#sheet.close();
      this.#panels.firings.only(rule_id);
      byId('firings').scrollIntoView({ block: 'nearest' });
    },
  };

  #openDevice(device) {
    if (!device) return;
    const sheet = new DeviceSheet(this.#store, device, this.#history, this.#go);
    this.#sheet.open(sheet.content(), () => this.#panels.devices.focus(device.key));
  }

  #openRule(rule) {
    if (rule)
      this.#sheet.open(ruleSheet(this.#store, rule, this.#go), () =>
        this.#panels.rules.focus(rule.id),
      );
  }

  #openFiring(firing) {
    if (firing)
      this.#sheet.open(firingSheet(this.#store, firing, this.#go), () =>
        this.#panels.firings.focus(firing.id),
      );
  }

  #openCommand(command) {
    if (command)
      this.#sheet.open(commandSheet(this.#store, command, this.#go), () =>
        this.#panels.commands.focus(command.id),
      );
  }

  #openPlugin(plugin) {
    this.#sheet.open(pluginSheet(plugin), () => this.#panels.plugins.focus(plugin.id));
  }

  #openRefusal(refusal) {
    this.#sheet.open(refusalSheet(this.#store, refusal, this.#go), () =>
      this.#panels.refusals.focus(refusal.id),
    );
  }
}

let sheet;

/** The one sheet of the document. */
const theSheet = () => (sheet ??= new Sheet(byId('sheet')));

/** Goes to a panel without a place in the browser's history for each. */
const jump = (event) => {
  event.preventDefault();
  const panel = byId(new URL(event.currentTarget.href).hash.slice(1));
  panel.scrollIntoView({ block: 'start' });
  panel.querySelector('button:not([hidden]), input')?.focus({ preventScroll: true });
};

/** Tells something that went wrong, for a while. */
const toast = (text) => {
  const toasts = byId('toasts');
  const note = el('p.toast', null, text);
  toasts.append(note);
  while (toasts.childElementCount > TOASTS_MAX) toasts.firstElementChild.remove();
  setTimeout(() => note.remove(), TOAST_MS);
};
