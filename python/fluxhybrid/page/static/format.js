/**
 * Numbers, sizes and times as people read them, in the language spoken.
 *
 * Owns the clock the page tells time by: the server's, where the browser's is off.
 */

import { TEXT_LEN_MAX } from './limits.js';
import { language, t } from './strings.js';

const made = new Map();

/** A formatter of `Intl`, made once for each language. */
const formatter = (kind, options) => {
  const key = `${language()} ${kind} ${JSON.stringify(options)}`;
  let found = made.get(key);
  if (!found) {
    found = new Intl[kind](language(), options);
    made.set(key, found);
  }
  return found;
};

/** A number in at most six digits that count. */
export const number = (value) => {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toPrecision(4).replace('e+', 'e');
  return formatter('NumberFormat', { maximumSignificantDigits: 6, useGrouping: false }).format(
    value,
  );
};

/** A count, with its thousands apart. */
export const count = (value) =>
  formatter('NumberFormat', { maximumFractionDigits: 0 }).format(value);

/** A count in little room: 950, 1.2k, 34k, 5.6M. */
export const brief = (value) => {
  if (!(value >= 1000))
    return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  const units = ['', 'k', 'M', 'G', 'T'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1).replace(/\.0$/, '')}${units[power]}`;
};

/** Bytes in little room, in powers of 1 024. */
export const bytes = (value) => {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** power;
  return `${scaled >= 100 || power === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[power]}`;
};

/** A value of a device, whatever it is, in one line. */
export const value = (given) => {
  if (typeof given === 'number') return number(given);
  const text = typeof given === 'string' ? given : (JSON.stringify(given) ?? '–');
  return text.length > TEXT_LEN_MAX ? `${text.slice(0, TEXT_LEN_MAX - 1)}…` : text;
};

/** Milliseconds the server's clock is ahead of the browser's; small differences count as none. */
let ahead_ms = 0;
const DIFFERENCE_HEEDED_MS = 3_000;

/** Learns the server's time from the `Date` of an answer, which counts whole seconds. */
export const learnTime = (date) => {
  const told = Date.parse(date ?? '');
  if (Number.isNaN(told)) return;
  const difference = told + 500 - Date.now();
  ahead_ms = Math.abs(difference) > DIFFERENCE_HEEDED_MS ? difference : 0;
};

/** The server's time, ms since 1970. */
export const now = () => Date.now() + ahead_ms;

/** How long something took or takes, in its largest unit. */
export const duration = (ms) => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return t('age.s', { n: seconds });
  if (seconds < 3600) return t('age.m', { n: Math.floor(seconds / 60) });
  if (seconds < 86_400) return t('age.h', { n: Math.floor(seconds / 3600) });
  return t('age.d', { n: Math.floor(seconds / 86_400) });
};

/** How long ago a time is; `now` for the last second. */
export const age = (at_ms) => {
  if (at_ms === null || at_ms === undefined) return t('age.never');
  const ms = now() - at_ms;
  return ms < 1000 ? t('age.now') : duration(ms);
};

const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

/** The time of day, with the date where that is another day. */
export const time = (at_ms) => {
  if (at_ms === null || at_ms === undefined) return '–';
  const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  const day = sameDay(at_ms, now()) ? {} : { month: 'short', day: 'numeric' };
  return formatter('DateTimeFormat', { ...day, ...clock }).format(at_ms);
};

/** Date and time to the millisecond, for details. */
export const exact = (at_ms) => {
  if (at_ms === null || at_ms === undefined) return '–';
  const part = {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    fractionalSecondDigits: 3,
    hourCycle: 'h23',
  };
  return formatter('DateTimeFormat', part).format(at_ms);
};

/** The time of day below a curve: with seconds where it is short. */
export const tick = (at_ms, span_ms) => {
  const options =
    span_ms > 2 * 86_400_000
      ? { month: 'short', day: 'numeric' }
      : {
          hour: '2-digit',
          minute: '2-digit',
          hourCycle: 'h23',
          ...(span_ms < 600_000 && { second: '2-digit' }),
        };
  return formatter('DateTimeFormat', options).format(at_ms);
};
