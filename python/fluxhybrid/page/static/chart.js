/**
 * Curves on canvases.
 *
 * Owns colours as the style sheet has them, and the pixels of the screen. What a curve says stands
 * beside it as text: a canvas is for the eye only.
 */

import { number, tick } from './format.js';

let palette = null;

/** Colours of the style sheet, as far as curves need them. */
const colours = () => {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    // computed by a property that resolves light-dark()
    const probe = document.body.appendChild(document.createElement('i'));
    const colour = (name) => {
      probe.style.color = style.getPropertyValue(name);
      return getComputedStyle(probe).color;
    };
    palette = {
      line: colour('--curve'),
      area: colour('--curve-area'),
      quiet: colour('--curve-quiet'),
      grid: colour('--line'),
      text: colour('--muted'),
      mark: colour('--mark'),
    };
    probe.remove();
  }
  return palette;
};

let turn = 0;

/** The colours are others now. */
export const forgetColours = () => {
  palette = null;
  turn += 1;
};

/** Grows with each change of colours: what was drawn before has to be drawn again. */
export const coloursTurn = () => turn;

/** A canvas of the size it has on the screen, wiped; null while it has none. */
const prepared = (canvas) => {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth || !clientHeight) return null;
  const scale = devicePixelRatio || 1;
  const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, clientWidth, clientHeight);
  return { context, width: clientWidth, height: clientHeight };
};

/** The least and the greatest of some points' values. */
export const extent = (points) => {
  let [min, max] = [Infinity, -Infinity];
  for (const [, value] of points) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return [min, max];
};

/** Draws points as a line that breaks where nothing came for longer than `gap_ms`. */
const trace = (context, points, x, y, gap_ms) => {
  let before = -Infinity;
  for (const [at, value] of points) {
    if (at - before > gap_ms) context.moveTo(x(at), y(value));
    else context.lineTo(x(at), y(value));
    before = at;
  }
};

/**
 * A small curve without words.
 * @param {HTMLCanvasElement} canvas
 * @param {[number, number][]} points oldest first
 * @param {{ from: number, to: number, gap_ms: number, zero?: boolean }} view
 */
export const drawSpark = (canvas, points, { from, to, gap_ms, zero }) => {
  const on = prepared(canvas);
  if (!on || points.length === 0) return;
  const { context, width, height } = on;
  const { line, area } = colours();
  let [min, max] = extent(points);
  if (zero) min = Math.min(0, min);
  if (max - min < Math.abs(max) * 1e-9 || max === min) [min, max] = [min - 1, max + 1];
  const edge = 2.5;
  const x = (at) => edge + ((at - from) / (to - from)) * (width - 2 * edge);
  const y = (value) => height - edge - ((value - min) / (max - min)) * (height - 2 * edge);
  context.beginPath();
  trace(context, points, x, y, gap_ms);
  context.strokeStyle = line;
  context.lineWidth = 1.4;
  context.lineJoin = 'round';
  context.stroke();
  const [[first_at], [last_at, last]] = [points[0], points[points.length - 1]];
  if (zero) {
    context.lineTo(x(last_at), height);
    context.lineTo(x(first_at), height);
    context.fillStyle = area;
    context.fill();
  }
  context.beginPath();
  context.arc(x(last_at), y(last), 1.9, 0, 7);
  context.fillStyle = line;
  context.fill();
};

/** Bars of counts, the newest at the right; the least of them can be seen. */
export const drawBars = (canvas, counts) => {
  const on = prepared(canvas);
  if (!on) return;
  const { context, width, height } = on;
  const { line, grid } = colours();
  const max = Math.max(1, ...counts);
  const step = width / counts.length;
  counts.forEach((one, place) => {
    const tall = one ? Math.max(3, (one / max) * (height - 1)) : 1;
    context.fillStyle = one ? line : grid;
    context.fillRect(place * step, height - tall, Math.max(1, step - 1.5), tall);
  });
};

/** Round numbers that divide a range: about `wanted` of them. */
export const ticks = (min, max, wanted) => {
  const rough = (max - min) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(min / step) * step; at <= max + step * 1e-6; at += step) found.push(at);
  return found;
};

const MARGIN = { left: 46, right: 14, top: 10, bottom: 22 };

/** Where things are on a chart: the inner rectangle, and from times and values to pixels. */
const layout = (width, height, points, { from, to }) => {
  const [inner_w, inner_h] = [
    width - MARGIN.left - MARGIN.right,
    height - MARGIN.top - MARGIN.bottom,
  ];
  let [min, max] = points.length ? extent(points) : [0, 1];
  const room = (max - min || Math.abs(max) || 1) * 0.08;
  [min, max] = [min - room, max + room];
  return {
    min,
    max,
    from,
    to,
    inner_w,
    right: width - MARGIN.right,
    bottom: height - MARGIN.bottom,
    x: (at) => MARGIN.left + ((at - from) / (to - from)) * inner_w,
    y: (value) => MARGIN.top + inner_h - ((value - min) / (max - min)) * inner_h,
  };
};

const drawAxes = (context, place) => {
  const { grid, text } = colours();
  context.font = '11px system-ui, sans-serif';
  context.lineWidth = 1;
  context.fillStyle = text;
  context.strokeStyle = grid;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const value of ticks(place.min, place.max, 4)) {
    const at = Math.round(place.y(value)) + 0.5;
    context.beginPath();
    context.moveTo(MARGIN.left, at);
    context.lineTo(place.right, at);
    context.stroke();
    context.fillText(number(Number(value.toPrecision(8))), MARGIN.left - 7, at);
  }
  context.textBaseline = 'top';
  const span = place.to - place.from;
  const parts = Math.max(2, Math.floor(place.inner_w / 110));
  for (let part = 0; part <= parts; part += 1) {
    const at = place.from + (span * part) / parts;
    context.textAlign = part === 0 ? 'left' : part === parts ? 'right' : 'center';
    context.fillText(tick(at, span), place.x(at), place.bottom + 8);
  }
};

/** Small triangles below the curve. */
const drawMarks = (context, place, marks) => {
  context.fillStyle = colours().mark;
  for (const at of marks) {
    if (at < place.from || at > place.to) continue;
    context.beginPath();
    context.moveTo(place.x(at), place.bottom - 7);
    context.lineTo(place.x(at) - 4, place.bottom);
    context.lineTo(place.x(at) + 4, place.bottom);
    context.fill();
  }
};

/** The point under the pointer, with its value and time. */
const drawPointed = (context, place, [at, value], unit) => {
  const { line, text } = colours();
  context.strokeStyle = text;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(place.x(at), MARGIN.top);
  context.lineTo(place.x(at), place.bottom);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = line;
  context.beginPath();
  context.arc(place.x(at), place.y(value), 3.2, 0, 7);
  context.fill();
  const left = place.x(at) < place.right / 2;
  context.textAlign = left ? 'left' : 'right';
  context.textBaseline = 'top';
  context.font = '600 12px system-ui, sans-serif';
  context.fillStyle = text;
  const words = `${number(value)}${unit ? ` ${unit}` : ''}  ${tick(at, place.to - place.from)}`;
  context.fillText(words, place.x(at) + (left ? 8 : -8), MARGIN.top);
};

/**
 * A curve with axes, marks below it for what happened, and what is under the pointer.
 * @param {HTMLCanvasElement} canvas
 * @param {[number, number][]} points oldest first
 * @param {{ from: number, to: number, gap_ms: number, marks: number[], pointer: number | null,
 *   unit: string }} view `marks` are times; `pointer` is a place in pixels
 */
export const drawChart = (canvas, points, view) => {
  const on = prepared(canvas);
  if (!on) return;
  const { context, width, height } = on;
  const place = layout(width, height, points, view);
  drawAxes(context, place);
  drawMarks(context, place, view.marks);
  context.beginPath();
  trace(context, points, place.x, place.y, view.gap_ms);
  context.strokeStyle = colours().line;
  context.lineWidth = 1.7;
  context.lineJoin = 'round';
  context.stroke();
  if (view.pointer === null) return;
  const pointed_ms =
    view.from + ((view.pointer - MARGIN.left) / place.inner_w) * (view.to - view.from);
  const pointed = nearest(points, pointed_ms);
  if (pointed) drawPointed(context, place, pointed, view.unit);
};

/** The point whose time is nearest. */
export const nearest = (points, at_ms) => {
  let best = null;
  for (const point of points)
    if (!best || Math.abs(point[0] - at_ms) < Math.abs(best[0] - at_ms)) best = point;
  return best;
};
