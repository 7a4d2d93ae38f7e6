// What can be used and is in view, but has no name (WCAG 2.2, success criterion 4.1.2).
const named = (e) =>
  (e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || e.title || '').trim();
return [
  ...document.querySelectorAll(
    'button, input:not([type=hidden]), select, a, canvas[tabindex], section',
  ),
]
  .filter((e) => e.checkVisibility() && !named(e))
  .map((e) => e.outerHTML.slice(0, 120));
