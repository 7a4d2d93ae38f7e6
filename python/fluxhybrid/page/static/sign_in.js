/**
 * Signing in: a token is tried before it is kept.
 */

import { Api } from './api.js';
import { byId, setText } from './dom.js';
import { isToken, keepToken } from './session.js';
import { t } from './strings.js';

/** What to tell about an error of the API. */
const words = (error) => {
  if (error.status === 0) return t('signIn.unreachable');
  if (error.status === 429) return t('signIn.tooMany', { seconds: error.wait_s || 60 });
  if (error.isSignedOut) return t('signIn.wrong');
  return t('signIn.failed', { detail: error.message });
};

export class SignIn {
  #section = byId('sign-in');
  #field = byId('token');
  #error = byId('sign-in-error');
  #button = byId('sign-in-form').querySelector('button');

  /** @param {(token: string) => void} done */
  constructor(done) {
    byId('sign-in-form').addEventListener('submit', async (event) => {
      event.preventDefault();
      const token = this.#field.value.trim();
      const problem = token ? (isToken(token) ? null : 'signIn.shape') : 'signIn.empty';
      if (problem) return this.#refuse(t(problem));
      this.#busy(true);
      try {
        await new Api(token).get('/status');
      } catch (error) {
        return this.#refuse(words(error));
      } finally {
        this.#busy(false);
      }
      keepToken(token, byId('remember').checked);
      this.#field.value = '';
      return done(token);
    });
  }

  #busy(busy) {
    this.#button.disabled = busy;
    setText(this.#button, t(busy ? 'signIn.busy' : 'signIn.button'));
  }

  #refuse(text) {
    setText(this.#error, text);
    this.#field.setAttribute('aria-invalid', 'true');
    this.#field.focus();
    this.#field.select();
  }

  /** Shows it, with why. */
  show(text = '') {
    this.#section.hidden = false;
    this.#field.removeAttribute('aria-invalid');
    setText(this.#error, text);
    this.#field.focus();
  }

  hide() {
    this.#section.hidden = true;
  }
}
