/**
 * Making elements. Texts go in as texts only: nothing here can become markup.
 */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element.
 * @param {string} tag such as `div`, or `div.name.other` with classes
 * @param {Record<string, any> | null} [attributes] `on*` are listeners, `undefined` and `false` are left out
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export const el = (tag, attributes, ...children) => {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === false || value === null) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child || child === ''));
  return node;
};

/** One of the document's own symbols, said by nobody: what it means stands beside it. */
export const icon = (name, ...classes) => {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', ['icon', ...classes].join(' '));
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
};

/** Shows another of the symbols. */
export const setIcon = (svg, name) => {
  const href = `#i-${name}`;
  const use = svg.firstElementChild;
  if (use.getAttribute('href') !== href) use.setAttribute('href', href);
};

/** Writes a text unless it stands there already: writing it anew costs a layout. */
export const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** Sets or takes away an attribute unless it is so already. */
export const setAttribute = (node, name, value) => {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, String(value));
  }
};

/** The element with that id, which the document has. */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));
