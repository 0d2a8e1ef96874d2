// Pointer and keyboard of the viewer: scroll, pan, window, measure, box, ellipse.
import { boxOf, lengthOf } from "/static/viewer/marks.js";
import * as review from "/static/viewer/review.js";

const DRAWING = new Set(["measure", "box", "ellipse"]);
const START_PX = 24;
const KINDS = { DX: "fracture", CR: "fracture", SM: "tumour" };
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class Tools {
  constructor(viewer) {
    this.viewer = viewer;
    this.tool = "scroll";
    this.shape = null;
    this.moving = "";
    this.turned = 0;
    const { canvas, root } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const button of root.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => this.take(button.dataset.tool));
    }
    const does = { fit: () => { viewer.fit(); viewer.draw(); }, large: () => this.large(), clear: () => this.clear() };
    for (const button of root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => does[button.dataset.do]());
    }
  }

  /** Take a tool in hand; `moving` is the finding whose new place is drawn next. */
  take(tool, moving = "") {
    const marks = tool === "box" || tool === "ellipse";
    if (marks && this.viewer.locked) return;
    this.tool = tool;
    this.moving = moving;
    this.shape = null;
    for (const button of this.viewer.root.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
    this.viewer.canvas.dataset.hand = tool;
    this.viewer.draw();
    if (DRAWING.has(tool)) this.viewer.say(moving ? "moving" : "drawing");
  }

  large() {
    const large = this.viewer.root.classList.toggle("large");
    this.viewer.root.querySelector("[data-do=large]").setAttribute("aria-pressed", String(large));
    document.body.classList.toggle("viewer-large", large);
    this.viewer.resize();
  }

  clear() {
    this.viewer.measures = this.viewer.measures.filter((one) => !this.viewer.isHere(one));
    this.viewer.draw();
  }

  at(event) {
    const edges = this.viewer.canvas.getBoundingClientRect();
    return [event.clientX - edges.left, event.clientY - edges.top];
  }

  down(event) {
    if (!this.viewer.view) return;
    this.viewer.canvas.setPointerCapture(event.pointerId);
    this.last = this.at(event);
    this.button = event.button;
    if (event.button === 0 && DRAWING.has(this.tool)) this.begin(this.viewer.toImage(...this.last));
  }

  move(event) {
    if (!this.last) return;
    const [x, y] = this.at(event);
    const [dx, dy] = [x - this.last[0], y - this.last[1]];
    const { viewer } = this;
    if (this.shape) {
      this.shape.till = viewer.toImage(x, y);
      viewer.draw();
      this.last = [x, y];
      return;
    }
    const hand = this.button === 2 ? "window" : this.button === 1 ? "pan" : this.tool;
    if (hand === "window") viewer.level(dy * 2, dx * 2);
    else if (hand === "pan" || viewer.slide || viewer.series.images.length < 2) viewer.pan(dx, dy);
    else this.scroll(dy / 6);
    this.last = [x, y];
  }

  up() {
    this.last = null;
    if (this.shape) this.finish();
  }

  cancel() {
    this.last = null;
    this.shape = null;
    this.viewer.draw();
  }

  wheel(event) {
    if (!this.viewer.view) return;
    event.preventDefault();
    const many = this.viewer.series.images.length > 1;
    if (many && !event.ctrlKey && !event.shiftKey) this.scroll(Math.sign(event.deltaY) * -1);
    else this.viewer.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, ...this.at(event));
  }

  scroll(slices) {
    this.turned += slices;
    const whole = Math.trunc(this.turned);
    this.turned -= whole;
    if (whole) this.viewer.go(this.viewer.index + whole);
  }

  begin(point) {
    const { viewer } = this;
    const image = viewer.slide ? { sop: viewer.slide.levels[0].sop, frame: 0 } : viewer.image;
    const several = !viewer.slide && viewer.series.images.some((one) => one.frame > 1);
    this.shape = { from: point, till: point, sop: image.sop, frame: several ? image.frame : 0 };
  }

  finish() {
    const { shape, tool, viewer } = this;
    this.shape = null;
    const [x, y] = viewer.toCanvas(...shape.from);
    const [x2, y2] = viewer.toCanvas(...shape.till);
    if (Math.hypot(x2 - x, y2 - y) < 4) return viewer.draw();
    if (tool === "measure") {
      viewer.measures.push({ ...shape, text: lengthOf(shape.from, shape.till, viewer.mm) });
      return viewer.draw();
    }
    const { width, height } = viewer.size;
    const box = boxOf(shape.from, shape.till, width, height);
    if (box[2] - box[0] < 0.5 || box[3] - box[1] < 0.5) return viewer.draw();
    const marking = { shape: tool, series: viewer.series.uid, sop: shape.sop, frame: shape.frame, box };
    const { moving } = this;
    if (moving) review.replace(moving, marking);
    else review.add(marking, KINDS[viewer.series.modality] ?? "other");
    this.take("scroll");
    return viewer.say(moving ? "moved" : "added");
  }

  /** Return what is being drawn, as a marking. */
  drawn() {
    if (!this.shape || this.tool === "measure") return [];
    const { width, height } = this.viewer.size;
    return [{ shape: this.tool, box: boxOf(this.shape.from, this.shape.till, width, height), active: true }];
  }

  measured() {
    if (!this.shape || this.tool !== "measure") return [];
    return [{ ...this.shape, text: lengthOf(this.shape.from, this.shape.till, this.viewer.mm), active: true }];
  }

  /** The canvas by keyboard: slices, zoom, and drawing without a pointer. */
  key(event) {
    const { viewer } = this;
    if (!viewer.view || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.keyed(event, viewer)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  keyed(event, viewer) {
    const arrow = ARROWS[event.key];
    if (DRAWING.has(this.tool) && this.byKey(event, arrow)) return true;
    const steps = { PageUp: 10, PageDown: -10, Home: -1e6, End: 1e6 }[event.key];
    if (arrow && (viewer.slide || viewer.series.images.length < 2 || event.shiftKey || arrow[0])) {
      viewer.pan(-arrow[0] * 40, -arrow[1] * 40);
    } else if (arrow) viewer.go(viewer.index - arrow[1]);
    else if (steps) viewer.go(viewer.index + steps);
    else if (event.key === "+" || event.key === "=") viewer.zoom(1.25);
    else if (event.key === "-") viewer.zoom(0.8);
    else if (event.key === "0") { viewer.fit(); viewer.draw(); }
    else if (event.key === "Delete") this.clear();
    else return false;
    return true;
  }

  /** Enter begins and ends a shape, arrows move it, with Shift its far corner, Escape drops it. */
  byKey(event, arrow) {
    const { viewer } = this;
    if (event.key === "Escape") {
      if (this.shape) this.cancel();
      else this.take("scroll");
      return true;
    }
    if (event.key === "Enter") {
      if (this.shape) this.finish();
      else {
        const [x, y] = [viewer.canvas.width / viewer.ratio / 2, viewer.canvas.height / viewer.ratio / 2];
        this.begin(viewer.toImage(x - START_PX, y - START_PX));
        this.shape.till = viewer.toImage(x + START_PX, y + START_PX);
        viewer.draw();
      }
      return true;
    }
    if (!arrow || !this.shape) return false;
    const step = 4 / viewer.view.scale;
    for (const end of event.shiftKey ? ["till"] : ["from", "till"]) {
      this.shape[end] = [this.shape[end][0] + arrow[0] * step, this.shape[end][1] + arrow[1] * step];
    }
    viewer.draw();
    return true;
  }
}
