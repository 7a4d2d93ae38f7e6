// Texts in view whose contrast is below 4.5 (WCAG 2.2, success criterion 1.4.3).
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) =>
    (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(
    (node) => node.nodeType === 3 && node.textContent.trim(),
  );
  if (!own || !element.checkVisibility() || element.closest('.unseen, .skip, script, noscript'))
    continue;
  const style = getComputedStyle(element);
  const [a, b] = [luminance(parse(style.color)), luminance(behind(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5)
    poor.push(
      `${element.className || element.tagName} "${element.textContent.slice(0, 30)}" ${ratio.toFixed(2)}`,
    );
}
return poor;
