// Lines over one time axis. A panel has a line read off on the left and one on the right,
// so that what moves against each other is seen to.

import { h } from "./dom.js";
import { seconds } from "./format.js";

const height = 128;
const margin = { left: 62, right: 56, top: 10, bottom: 8 };
const shortest = 60_000; // milliseconds that are shown at least

// A line is {name, color, side, value(sample), show(number), stepped, whole}; color is a class.
export class Chart {
  constructor(label, panels) {
    this.label = label;
    this.samples = [];
    this.panels = panels.map((lines) => ({ lines, svg: h("svg", { class: "plot", height, "aria-hidden": "true" }) }));
    this.legend = h("dl", { class: "legend" });
    this.values = panels.flat().map((line) => {
      const value = h("dd", {}, "–");
      this.legend.append(h("div", {}, h("dt", { class: line.color }, line.name), value));
      return { line, value };
    });
    this.when = h("span", { class: "when" }, "now");
    this.axis = h("svg", { class: "plot", height: 18, "aria-hidden": "true" });
    this.element = h("figure", {
      class: "chart", tabindex: "0", role: "img", "aria-label": label,
      pointermove: (event) => this.point(event), pointerleave: () => this.choose(null), blur: () => this.choose(null),
      keydown: (event) => this.key(event),
    }, h("figcaption", {}, this.legend, this.when), this.panels.map((p) => p.svg), this.axis);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  update(samples) {
    this.samples = samples;
    if (this.at && !samples.includes(this.at)) this.at = null;
    this.draw();
  }

  // choose says which moment's figures are read out; null is the newest.
  choose(sample) {
    this.at = sample;
    this.draw();
  }

  point(event) {
    if (!this.x) return;
    const at = event.clientX - this.element.getBoundingClientRect().left - this.inset;
    let nearest = null;
    for (const s of this.samples) {
      if (!nearest || Math.abs(this.x(s.t) - at) < Math.abs(this.x(nearest.t) - at)) nearest = s;
    }
    this.choose(nearest);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.samples.length) return;
    event.preventDefault();
    const i = this.at ? this.samples.indexOf(this.at) : this.samples.length - 1;
    this.choose(this.samples[Math.min(Math.max(i + step, 0), this.samples.length - 1)]);
  }

  draw() {
    const width = this.axis.clientWidth;
    if (!width) return;
    this.inset = this.axis.getBoundingClientRect().left - this.element.getBoundingClientRect().left;
    const newest = this.samples.at(-1);
    const end = newest?.t ?? Date.now();
    const span = Math.max(shortest, end - (this.samples[0]?.t ?? end));
    const right = width - margin.right;
    this.x = (t) => right - ((end - t) / span) * (right - margin.left);
    for (const panel of this.panels) this.drawPanel(panel, right);
    this.drawAxis(width, end, span);
    const shown = this.at ?? newest;
    for (const { line, value } of this.values) {
      const v = shown ? line.value(shown) : null;
      value.textContent = v === null ? "–" : line.show(v);
    }
    this.when.textContent = this.at ? `${seconds((end - this.at.t) / 1000)} ago` : "now";
    this.element.setAttribute("aria-label", `${this.label}. ${this.when.textContent}: ${this.values.map((v) => `${v.line.name} ${v.value.textContent}`).join(", ")}`);
  }

  drawPanel({ lines, svg }, right) {
    const bottom = height - margin.bottom;
    const parts = [];
    for (const line of lines) {
      const top = ceiling(Math.max(...this.samples.map((s) => line.value(s) ?? 0), 0), line.whole);
      const y = (v) => bottom - (v / top) * (bottom - margin.top);
      const left = line.side === "left";
      for (const v of [0, top / 2, top]) {
        if (left) parts.push(h("line", { class: "grid", x1: margin.left, x2: right, y1: y(v), y2: y(v) }));
        if (line.whole && !Number.isInteger(v)) continue;
        parts.push(h("text", { class: line.color, x: left ? margin.left - 8 : right + 8, y: y(v) + 4, "text-anchor": left ? "end" : "start" }, line.show(v)));
      }
      parts.push(h("path", { class: `line ${line.color}`, d: trace(this.samples, line, this.x, y) }));
      if (this.at && line.value(this.at) !== null) parts.push(h("circle", { class: line.color, cx: this.x(this.at.t), cy: y(line.value(this.at)), r: 3.5 }));
    }
    if (this.at) parts.push(h("line", { class: "cursor", x1: this.x(this.at.t), x2: this.x(this.at.t), y1: margin.top, y2: bottom }));
    svg.replaceChildren(...parts);
  }

  drawAxis(width, end, span) {
    const step = [10, 15, 30, 60, 120, 300].find((s) => (span / 1000 / s) * 70 < width - margin.left - margin.right) ?? 600;
    const parts = [];
    for (let ago = 0; ago * 1000 <= span; ago += step) {
      parts.push(h("text", { x: this.x(end - ago * 1000), y: 13, "text-anchor": "middle" }, ago === 0 ? "now" : ago % 60 === 0 ? `−${ago / 60} min` : `−${ago} s`));
    }
    this.axis.replaceChildren(...parts);
  }
}

// trace is the path of a line. What is not known, and times when nobody looked, are gaps.
function trace(samples, line, x, y) {
  let path = "";
  let before = null;
  for (const s of samples) {
    const v = line.value(s);
    if (v === null) {
      before = null;
      continue;
    }
    const [px, py] = [x(s.t).toFixed(1), y(v).toFixed(1)];
    if (!before || s.t - before.t > 15_000) path += `M${px} ${py}`;
    else path += line.stepped ? `H${px}V${py}` : `L${px} ${py}`;
    before = s;
  }
  return path;
}

// ceiling is the next of 1, 2, 5, 10, …, for an axis of few figures.
function ceiling(v, whole) {
  if (v <= 0) return whole ? 2 : 1;
  const power = 10 ** Math.floor(Math.log10(v));
  return Math.max([1, 2, 5, 10].map((f) => f * power).find((c) => c >= v), whole ? 2 : 0);
}
