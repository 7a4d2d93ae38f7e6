/**
 * The HTTP API, as the page uses it.
 *
 * Owns the token of the session it was made for, the time an answer may take, and the errors.
 * Must never try again by itself: who asks knows whether that makes sense.
 */

import { PAGE_LEN, REQUEST_TIMEOUT_MS } from './limits.js';
import { learnTime } from './format.js';

/** Something the server refused, or could not be asked. `status` is 0 where it did not answer. */
export class ApiError extends Error {
  constructor(status, code, detail, wait_s = 0) {
    super(detail);
    this.status = status;
    this.code = code;
    this.wait_s = wait_s;
  }

  /** Whether the token is no good. */
  get isSignedOut() {
    return this.status === 401;
  }
}

const problemOf = async (answer) => {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // something stands in between that does not speak our errors
  }
  const detail = said.detail ?? said.title ?? `HTTP ${answer.status}`;
  const hint = said.hint ? ` ${said.hint}` : '';
  return new ApiError(
    answer.status,
    said.code ?? '',
    `${detail}${hint}`,
    Number(answer.headers.get('Retry-After')) || 0,
  );
};

export class Api {
  #token;
  #ended = new AbortController();
  /** Called with the generation in force, as each answer tells it. */
  onGeneration = (_generation) => {};

  constructor(token) {
    this.#token = token;
  }

  /** Nobody waits for answers any more. */
  end() {
    this.#ended.abort();
  }

  get isEnded() {
    return this.#ended.signal.aborted;
  }

  async #send(method, path) {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    let answer;
    try {
      answer = await fetch(`api/v1${path}`, {
        method,
        signal,
        cache: 'no-store',
        headers: { Authorization: `Bearer ${this.#token}` },
      });
    } catch (error) {
      throw new ApiError(0, 'unreachable', String(error.message ?? error));
    }
    learnTime(answer.headers.get('Date'));
    if (!answer.ok) throw await problemOf(answer);
    this.onGeneration(answer.headers.get('X-Flux-Generation-In-Force'));
    return answer.json();
  }

  get(path) {
    return this.#send('GET', path);
  }

  post(path) {
    return this.#send('POST', path);
  }

  /** Page after page of a list, as long as there are fewer than `length_max` entries. */
  async *pages(path, length_max) {
    let cursor = null;
    let length = 0;
    do {
      const limit = Math.min(PAGE_LEN, length_max - length);
      const mark = path.includes('?') ? '&' : '?';
      const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const page = await this.get(`${path}${mark}limit=${limit}${from}`);
      length += page.items.length;
      yield page.items;
      cursor = page.next_cursor;
    } while (cursor && length < length_max);
  }

  /** The live stream's address and subprotocols: the token stands in no URL. */
  stream(kinds) {
    const url = new URL('api/v1/stream', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    for (const kind of kinds) url.searchParams.append('kind', kind);
    return new WebSocket(url, ['fluxhybrid.v1', `bearer.${this.#token}`]);
  }
}
