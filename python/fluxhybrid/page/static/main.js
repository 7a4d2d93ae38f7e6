/**
 * The page: signed in or not, in which language, in which colours.
 *
 * Owns the switch between signing in and the live page, and the choices kept on this device.
 */

import { byId, setIcon } from './dom.js';
import { Live } from './live.js';
import { forgetToken, savedToken } from './session.js';
import { SignIn } from './sign_in.js';
import { language, switchLanguage, t, translateDocument } from './strings.js';

const THEMES = ['auto', 'light', 'dark'];

let live = null;
const signIn = new SignIn((token) => begin(token));

const begin = (token) => {
  signIn.hide();
  byId('leave').hidden = false;
  live = new Live(token, () => leave(t('signIn.over')));
};

const leave = (why = '') => {
  forgetToken();
  live?.end();
  live = null;
  byId('leave').hidden = true;
  signIn.show(why);
};

/** Keeps a choice on this device; a browser that keeps nothing forgets it. */
const choose = (name, value) => {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // it holds until the page is left
  }
};

const theme = () => document.documentElement.dataset.theme ?? 'auto';

const dress = () => {
  translateDocument();
  byId('language').textContent = t('language.other');
  byId('language').setAttribute('aria-label', t('language.switch'));
  byId('language').lang = language() === 'zh' ? 'en' : 'zh';
  setIcon(byId('theme').firstElementChild, theme());
  for (const [id, words] of [
    ['theme', `theme.${theme()}`],
    ['leave', 'leave.button'],
  ]) {
    byId(id).setAttribute('aria-label', t(words));
    byId(id).title = t(words);
  }
  live?.repaint();
};

byId('language').addEventListener('click', () => {
  switchLanguage();
  choose('fluxhybrid.language', language());
  dress();
});

byId('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  choose('fluxhybrid.theme', next === 'auto' ? null : next);
  dress();
});

byId('leave').addEventListener('click', () => leave());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', dress);
// Somebody followed a link with a token in it while the page was open.
addEventListener('hashchange', () => {
  const token = location.hash.startsWith('#token=') ? savedToken() : null;
  if (token) {
    live?.end();
    begin(token);
  }
});

dress();
const token = savedToken();
if (token) begin(token);
else signIn.show();
