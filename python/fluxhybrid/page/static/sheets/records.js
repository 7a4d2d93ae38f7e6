/**
 * The details of what is told once: firings, rules, commands, refusals.
 */

import { el } from '../dom.js';
import * as format from '../format.js';
import { statusWords } from '../panels/commands.js';
import { actionWords } from '../panels/firings.js';
import { failuresOf, healthWords } from '../panels/plugins.js';
import { attemptWords, whoWords, whyWords } from '../panels/refusals.js';
import { known, t } from '../strings.js';
import { facts, json, part } from './sheet.js';

/** @typedef {{ device: (key: string) => void, rule: (id: string) => void, firing: (id: string) => void,
 *   command: (id: string) => void, only: (rule_id: string) => void }} Go where a link leads */

const link = (text, go) => (go ? el('button.link', { type: 'button', onclick: go }, text) : text);

/** A device's name that leads to it, where it is known. */
const toDevice = (store, key, go) =>
  key ? link(key, store.devices.has(key) ? () => go.device(key) : null) : null;

const valueTable = (store, device, values) => {
  const rows = Object.entries(values).map(([name, value]) => {
    const unit = device ? store.unitOf(device, name) : '';
    return el(
      'tr',
      null,
      el('th', { scope: 'row' }, name),
      el(
        'td.numeric',
        null,
        format.value(value),
        unit ? el('span.value-unit', null, ` ${unit}`) : null,
      ),
    );
  });
  return el('table.values-table', null, el('tbody', null, ...rows));
};

/** A firing: what it was decided on, next to what it called for. */
export const firingSheet = (store, firing, go) => {
  const device = store.devices.get(firing.device_id);
  const element = el(
    'div',
    null,
    facts([
      [
        t('firings.rule'),
        link(
          firing.rule_name,
          store.rules.has(firing.rule_id) ? () => go.rule(firing.rule_id) : null,
        ),
      ],
      [t('rules.version'), String(firing.rule_version)],
      [t('firings.device'), toDevice(store, firing.device_id, go)],
      [t('firings.topic'), el('code', null, firing.topic)],
      [t('firings.sample'), format.exact(firing.ts)],
      [
        t('firings.when'),
        firing.triggered
          ? format.exact(firing.at)
          : `${format.exact(firing.at)}, ${t('firings.untriggered')}`,
      ],
      [t('firings.id'), el('code', null, firing.id)],
    ]),
    part(t('firings.values'), valueTable(store, device, firing.values)),
    part(
      t('firings.actions'),
      el(
        'ul.plain',
        null,
        ...firing.actions.map((action) =>
          el(
            'li',
            null,
            el('p', null, actionWords(action)),
            action.params || action.text || action.url ? json(rest(action)) : null,
          ),
        ),
      ),
    ),
  );
  return { title: firing.rule_name, kicker: t('firings.title'), element };
};

/** What an action's few words leave out. */
const rest = ({ type: _type, id: _id, ...others }) => others;

/** A rule: its script, and its last firings. */
export const ruleSheet = (store, rule, go) => {
  const firings = store.firings.filter((firing) => firing.rule_id === rule.id).slice(0, 20);
  const element = el(
    'div',
    null,
    facts([
      [t('commands.status'), t(rule.enabled ? 'rules.on' : 'rules.off')],
      [t('rules.version'), String(rule.version)],
      [t('firings.actions'), rule.actions.map(actionWords).join(', ')],
    ]),
    part(t('rules.script'), el('pre.script', { tabindex: '0' }, rule.trigger_script)),
    part(
      t('firings.title'),
      firings.length
        ? el(
            'p',
            null,
            link(t('rules.of', { name: rule.name }), () => go.only(rule.id)),
          )
        : null,
      firings.length
        ? el(
            'ul.plain.log',
            null,
            ...firings.map((firing) =>
              el(
                'li',
                null,
                el('time', null, format.time(firing.at)),
                link(firing.device_id ?? firing.topic, () => go.firing(firing.id)),
                el(
                  'span.muted',
                  null,
                  Object.entries(firing.values)
                    .map(([name, value]) => `${name} ${format.value(value)}`)
                    .join(' · '),
                ),
              ),
            ),
          )
        : el('p.muted', null, t('rules.never')),
    ),
  );
  return { title: rule.name, kicker: t('rules.title'), element };
};

/** A command and what became of it; goes on changing until it has ended. */
export const commandSheet = (store, command, go) => {
  const element = el('div');
  let shown = null;
  const paint = (changed) => {
    if (!changed.has('commands') && !changed.has('all')) return;
    const now = store.commands.get(command.id) ?? command;
    if (now === shown) return;
    shown = now;
    element.replaceChildren(
      facts([
        [t('firings.device'), toDevice(store, now.device_id, go)],
        [t('commands.status'), statusWords(now.status)],
        [t('commands.requested'), format.exact(now.requested)],
        [t('commands.sent'), now.sent === null ? null : format.exact(now.sent)],
        [t('commands.finished'), now.finished === null ? null : format.exact(now.finished)],
        [
          t('commands.firing'),
          now.firing_id && store.firings.some((one) => one.id === now.firing_id)
            ? link(now.firing_id, () => go.firing(now.firing_id))
            : now.firing_id,
        ],
      ]),
      part(t('commands.params'), json(now.params)),
      ...(now.result === null || now.result === undefined
        ? []
        : [part(t('commands.result'), json(now.result))]),
    );
  };
  return { title: command.command, kicker: t('commands.title'), element, paint };
};

/** A refusal: all that is known of who it was. */
export const refusalSheet = (store, refusal, go) => {
  const why = whyWords(refusal);
  const element = el(
    'div',
    null,
    el('p.lead', null, why),
    known(`hint.${refusal.code}`)
      ? el('p.hint', null, t(`hint.${refusal.code}`, { id: '{id}' }))
      : null,
    facts([
      [t('refusals.reason'), refusal.reason],
      [t('refusals.who'), toDevice(store, refusal.username, go) ?? refusal.source],
      [t('refusals.client'), refusal.client_id],
      [t('refusals.from'), refusal.address],
      [t('refusals.topic'), refusal.topic && el('code', null, refusal.topic)],
      [t('refusals.count'), format.count(refusal.count)],
      [t('refusals.first'), format.exact(refusal.first)],
      [t('refusals.last'), format.exact(refusal.at)],
      ['', el('code', null, refusal.code)],
    ]),
  );
  return {
    title: whoWords(refusal),
    kicker: `${t('refusals.title')} · ${attemptWords(refusal.attempt)}`,
    element,
  };
};

/** A plugin: what is wrong with it first, then what it does. */
export const pluginSheet = (plugin) => {
  const { calls = {}, vectors, problems = [] } = plugin;
  const mean_us = calls.calls ? calls.duration_ns / calls.calls / 1000 : null;
  const element = el(
    'div',
    null,
    plugin.about ? el('p.lead', null, plugin.about) : null,
    facts([
      [t('commands.status'), healthWords(plugin.health)],
      [t('plugins.id'), plugin.id],
      [t('rules.version'), plugin.version],
      [t('plugins.functions'), (plugin.functions ?? []).join(', ')],
      [
        t('plugins.vectors'),
        vectors ? t('plugins.vectorsHeld', { held: vectors[1], all: vectors[0] }) : null,
      ],
      [t('plugins.loaded'), plugin.loaded_ns ? format.exact(plugin.loaded_ns / 1e6) : null],
      [t('plugins.callsMade'), format.count(calls.calls ?? 0)],
      [t('plugins.failed'), format.count(failuresOf(calls))],
      [
        t('plugins.mean'),
        mean_us === null
          ? null
          : t('plugins.micros', { us: format.number(Number(mean_us.toPrecision(3))) }),
      ],
      [t('plugins.trips'), plugin.trips ? format.count(plugin.trips) : null],
      [t('plugins.hash'), plugin.hash && el('code', null, plugin.hash)],
    ]),
    problems.length
      ? part(
          t('plugins.problems'),
          el(
            'ul.plain',
            null,
            ...problems.map((problem) =>
              el(
                'li',
                null,
                el('p', null, problem.message),
                problem.hint ? el('p.muted', null, problem.hint) : null,
              ),
            ),
          ),
        )
      : null,
  );
  return { title: plugin.title ?? plugin.id, kicker: t('plugins.title'), element };
};
