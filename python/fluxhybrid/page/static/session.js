/**
 * The token somebody signed in with.
 *
 * Owns where it is kept: with this tab, or with this device if that was asked for. Must never put
 * it into a URL, nor leave it in the one it came with.
 */

const KEY = 'fluxhybrid.token';
/** RFC 6750's alphabet of bearer tokens, as far as a WebSocket's subprotocol has it too. */
const SHAPE = /^[A-Za-z0-9._~+-]{1,256}$/;

const store = (name) => {
  try {
    return window[name];
  } catch {
    return null; // the browser keeps nothing for this page
  }
};

/** Whether this could be a token at all. */
export const isToken = (text) => SHAPE.test(text);

/** The token behind `#token=`, taken out of the address and of the browser's history. */
const fromAddress = () => {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return given.trim();
};

/** The token to begin with, if there is one. */
export const savedToken = () => {
  const given = fromAddress();
  if (given && isToken(given)) {
    keepToken(given, false);
    return given;
  }
  const kept = store('sessionStorage')?.getItem(KEY) ?? store('localStorage')?.getItem(KEY);
  return kept && isToken(kept) ? kept : null;
};

/** Keeps a token for this tab, or for this device. */
export const keepToken = (token, remembered) => {
  forgetToken();
  store(remembered ? 'localStorage' : 'sessionStorage')?.setItem(KEY, token);
};

/** Forgets it everywhere. */
export const forgetToken = () => {
  for (const name of ['sessionStorage', 'localStorage']) store(name)?.removeItem(KEY);
};
