// The viewer of the case page: stacks, radiographs, slides; nothing is fetched before it is opened.
import { Frames, Painter, WINDOWS, ownWindow } from "/static/viewer/pixels.js";
import { loadOverlays } from "/static/viewer/overlays.js";
import { Slide } from "/static/viewer/slide.js";
import { drawMarks } from "/static/viewer/marks.js";
import * as review from "/static/viewer/review.js";
import { Tools } from "/static/viewer/tools.js";

export class Viewer {
  constructor(root) {
    this.root = root;
    this.base = root.dataset.case;
    this.canvas = root.querySelector("#viewer-image");
    this.context = this.canvas.getContext("2d");
    this.slider = root.querySelector("#viewer-slice");
    this.windows = root.querySelector("#viewer-window");
    this.painter = new Painter();
    this.overlay = true;
    this.chosen = "";
    this.measures = [];
    this.outlines = new Map();
    this.states = new Map();
    this.tools = new Tools(this);
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.windows.addEventListener("change", () => this.preset(this.windows.value));
    this.choice = root.querySelector("#viewer-series");
    this.choice.addEventListener("change", () => this.open(Number(this.choice.value)));
    new ResizeObserver(() => this.resize()).observe(this.canvas.parentElement);
    review.listen({ show: (marking) => this.showMarking(marking), gone: () => this.draw() });
  }

  get locked() {
    return this.root.dataset.locked === "true";
  }

  /** Open the viewer; the first time, learn what there is to see. */
  async start() {
    this.root.hidden = false;
    if (this.known) return void this.resize();
    this.say("loading");
    const answer = await fetch(`${this.base}/viewer/${this.root.dataset.version}`);
    if (!answer.ok) return void this.say("failed");
    this.known = await answer.json();
    this.known.series.forEach((series, index) => {
      const text = [series.modality, series.title, series.images.length > 1 ? series.images.length : ""];
      this.choice.add(new Option(text.filter(Boolean).join(" · "), String(index)));
    });
    if (!this.known.series.length) return void this.say("none");
    const first = this.known.findings.find((finding) => finding.box);
    this.resize();
    loadOverlays(this);
    if (first) await this.show(first.id);
    if (!this.series) await this.open(0); // its image may not be held
  }

  /** Show a series, where it was left or in its middle. */
  async open(number, index = null) {
    const series = this.known.series[number];
    if (this.series) this.states.set(this.series.uid, { index: this.index, view: this.view, window: this.window });
    const before = this.states.get(series.uid);
    this.number = number;
    this.series = series;
    this.choice.value = String(number);
    this.root.dataset.kind = series.kind;
    this.frames = series.kind === "slide" ? null : (before?.frames ?? new Frames(this.base, series));
    this.slide = series.kind === "slide" ? new Slide(this.base, series, () => this.soon()) : null;
    if (this.slide) this.slide.heat = this.heat ?? null;
    this.window = before?.window ?? null;
    this.view = before?.view ?? null;
    this.index = index ?? before?.index ?? Math.floor(series.images.length / 2);
    this.slider.max = String(Math.max(series.images.length - 1, 0));
    this.slider.closest(".slices").hidden = series.images.length < 2;
    this.windows.disabled = series.kind === "slide" || Boolean(series.images[0]?.colour);
    if (this.slide) return this.arrived(null);
    return this.go(this.index);
  }

  /** Show a slice. */
  async go(index) {
    if (!this.series || this.slide) return;
    const last = this.series.images.length - 1;
    const wanted = Math.min(Math.max(index, 0), last);
    const step = Math.sign(wanted - this.index) || 1;
    this.index = wanted;
    this.slider.value = String(wanted);
    const { frames } = this;
    try {
      const frame = await frames.get(wanted);
      if (this.frames !== frames || this.index !== wanted) return;
      this.arrived(frame);
      frames.ahead(wanted, step);
    } catch {
      if (this.frames === frames && this.index === wanted) this.say("failed");
    }
  }

  arrived(frame) {
    this.frame = frame;
    if (frame?.values && !this.window) this.window = ownWindow(this.series, this.image, frame);
    if (!this.view) this.fit();
    this.draw();
    this.root.dataset.ready = this.slide ? "slide" : `${this.series.uid}/${this.index}`;
  }

  get image() {
    return this.series.images[this.index];
  }

  get size() {
    if (this.slide) return { width: this.slide.width, height: this.slide.height };
    return { width: this.image.columns, height: this.image.rows };
  }

  /** Height of a pixel for its width. */
  get aspect() {
    const mm = this.slide ? null : this.image.mm;
    return mm ? mm[0] / mm[1] : 1;
  }

  get mm() {
    return this.slide ? this.slide.levels[0].mm : this.image.mm;
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const ratio = window.devicePixelRatio || 1;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.ratio = ratio;
    if (!this.series) return;
    this.fit();
    this.draw();
  }

  /** Show the whole image. */
  fit() {
    const { width, height } = this.size;
    const [wide, high] = [this.canvas.width / this.ratio, this.canvas.height / this.ratio];
    const scale = Math.min(wide / width, high / (height * this.aspect));
    this.view = { scale, x: (width - wide / scale) / 2, y: (height - high / scale / this.aspect) / 2 };
  }

  toCanvas(x, y) {
    const { scale } = this.view;
    return [(x - this.view.x) * scale, (y - this.view.y) * scale * this.aspect];
  }

  toImage(x, y) {
    const { scale } = this.view;
    return [x / scale + this.view.x, y / scale / this.aspect + this.view.y];
  }

  /** Zoom by a factor; the place under (x, y) of the canvas stays where it is. */
  zoom(factor, x = this.canvas.width / this.ratio / 2, y = this.canvas.height / this.ratio / 2) {
    const [px, py] = this.toImage(x, y);
    this.view.scale = Math.min(Math.max(this.view.scale * factor, 1e-3), 64);
    this.view.x = px - x / this.view.scale;
    this.view.y = py - y / this.view.scale / this.aspect;
    this.draw();
  }

  pan(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y -= dy / this.view.scale / this.aspect;
    this.draw();
  }

  preset(name) {
    if (!this.frame?.values) return;
    this.window = name === "image" ? ownWindow(this.series, this.image, this.frame) : [...WINDOWS[name]];
    this.windows.value = name;
    this.draw();
  }

  cycle(step) {
    const names = [...this.windows.options].map((option) => option.value);
    const next = (names.indexOf(this.windows.value) + step + names.length) % names.length;
    if (!this.windows.disabled) this.preset(names[next]);
  }

  level(dCentre, dWidth) {
    if (!this.window) return;
    this.window = [this.window[0] + dCentre, Math.max(1, this.window[1] + dWidth)];
    this.draw();
  }

  /** Draw before the next picture of the screen. */
  soon() {
    this.planned ||= requestAnimationFrame(() => { this.planned = 0; this.draw(); });
  }

  draw() {
    if (!this.view || !this.series) return;
    const { context, canvas, ratio } = this;
    const size = { width: canvas.width / ratio, height: canvas.height / ratio };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.slide ? "#fff" : "#000";
    context.fillRect(0, 0, size.width, size.height);
    if (this.slide) {
      this.root.dataset.tiles = this.slide.draw(context, this.view, size, this.overlay);
    } else if (this.frame) {
      const source = this.frame.bitmap ?? this.painter.paint(this.frame, this.image, ...this.window);
      const [x, y] = this.toCanvas(0, 0);
      const [x2, y2] = this.toCanvas(this.image.columns, this.image.rows);
      context.imageSmoothingEnabled = this.view.scale < 4;
      context.drawImage(source, x, y, x2 - x, y2 - y);
    }
    drawMarks(context, (px, py) => this.toCanvas(px, py), this.marks());
    this.tell();
  }

  marks() {
    const here = (one) => this.isHere(one);
    const key = this.slide ? "" : this.image.sop;
    const lines = this.outlines.get(key) ?? this.outlines.get(`${key}/${this.image?.frame}`) ?? [];
    const found = this.overlay ? this.known.findings.filter((one) => one.box && this.touches(one)) : [];
    return {
      outlines: this.overlay ? lines : [],
      boxes: found.map((one) => ({
        box: one.box, label: this.numberOf(one.id), chosen: one.id === this.chosen, away: !here(one),
      })),
      own: [
        ...review.markings().filter((one) => here(one.marking)).map((one) => ({ ...one.marking, label: one.label })),
        ...this.tools.drawn(),
      ],
      measures: [...this.measures.filter(here), ...this.tools.measured()],
    };
  }

  isHere({ sop, frame }) {
    if (this.slide) return this.series.levels.some((level) => level.sop === sop);
    return this.image.sop === sop && (!frame || frame === this.image.frame);
  }

  touches(finding) {
    if (this.isHere(finding)) return true;
    if (this.slide || finding.series !== this.series.uid || finding.first == null) return false;
    return this.index >= finding.first && this.index <= finding.last;
  }

  numberOf(id) {
    return document.querySelector(`[data-finding-id="${CSS.escape(id)}"]`)?.dataset.finding ?? "";
  }

  async show(id) {
    this.chosen = id;
    const finding = this.known?.findings.find((one) => one.id === id);
    if (finding) await this.showMarking(finding);
  }

  async showMarking(marking) {
    if (!marking || !this.known) return;
    for (const [number, series] of this.known.series.entries()) {
      const within = series.kind === "slide"
        ? (series.levels.some((level) => level.sop === marking.sop) ? 0 : -1)
        : series.images.findIndex((one) => one.sop === marking.sop && (!marking.frame || one.frame === marking.frame));
      if (within < 0) continue;
      if (number !== this.number) await this.open(number, within);
      else if (series.kind !== "slide") await this.go(within);
      this.centre(marking.box);
      return;
    }
  }

  /** Bring a box into view when it is outside, and near enough on a slide. */
  centre(box) {
    if (!box || !this.view) return this.draw();
    const [wide, high] = [this.canvas.width / this.ratio, this.canvas.height / this.ratio];
    if (this.slide) this.view.scale = Math.min(1, wide / (4 * Math.max(box[2] - box[0], 1)));
    const [x, y] = this.toCanvas((box[0] + box[2]) / 2, (box[1] + box[3]) / 2);
    if (x < 20 || y < 20 || x > wide - 20 || y > high - 20 || this.slide) {
      return this.pan(wide / 2 - x, high / 2 - y);
    }
    return this.draw();
  }

  setOverlay(shown) {
    this.overlay = shown;
    this.draw();
  }

  say(key) {
    this.root.querySelector("#viewer-status").textContent = key ? this.root.dataset[key] : "";
  }

  /** Write beside the image which slice it is, in which window, at which size. */
  tell() {
    const parts = [];
    if (!this.slide && this.series.images.length > 1) {
      parts.push(`${this.index + 1} / ${this.series.images.length}`);
      this.slider.setAttribute("aria-valuetext", parts[0]);
    }
    if (this.window && this.frame?.values) parts.push(`C ${Math.round(this.window[0])} W ${Math.round(this.window[1])}`);
    parts.push(`${(this.view.scale * 100).toPrecision(3)}%`);
    this.root.querySelector("#viewer-place").textContent = parts.join(" · ");
    this.say("");
  }
}
