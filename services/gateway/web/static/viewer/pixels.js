// Frames of stacks and radiographs: fetched as numbers, kept for a while, windowed here.

const BYTES_MAX = 256 * 2 ** 20;
const AHEAD = 6;
export const WINDOWS = { lung: [-600, 1500], mediastinum: [40, 400], brain: [40, 80], bone: [480, 2500] };

/** Fetches frames of a series; the latest asked for goes first. */
export class Frames {
  constructor(base, series) {
    this.base = base;
    this.series = series;
    this.kept = new Map();
    this.waiting = new Map();
    this.bytes = 0;
  }

  has(index) {
    return this.kept.has(index);
  }

  /** Return a frame: {values, offset} of grey numbers, or {bitmap} of a colour picture. */
  async get(index) {
    const kept = this.kept.get(index);
    if (kept) {
      this.kept.delete(index);
      this.kept.set(index, kept);
      return kept;
    }
    if (!this.waiting.has(index)) {
      this.waiting.set(index, this.fetch(index).finally(() => this.waiting.delete(index)));
    }
    return this.waiting.get(index);
  }

  async fetch(index) {
    const image = this.series.images[index];
    const kind = image.colour ? "pictures" : "pixels";
    const answer = await fetch(`${this.base}/${kind}/${this.series.uid}/${image.sop}/${image.frame}`);
    if (!answer.ok) throw new Error(String(answer.status));
    const frame = image.colour
      ? { bitmap: await createImageBitmap(await answer.blob()), size: image.rows * image.columns * 4 }
      : numbers(await answer.arrayBuffer(), Number(answer.headers.get("Dx-Offset") ?? 0));
    this.kept.set(index, frame);
    this.bytes += frame.size;
    for (const [oldest, other] of this.kept) {
      if (this.bytes <= BYTES_MAX || oldest === index) break;
      this.kept.delete(oldest);
      this.bytes -= other.size;
    }
    return frame;
  }

  /** Fetch what is likely looked at next. */
  async ahead(index, step) {
    for (let n = 1; n <= AHEAD; n += 1) {
      const next = index + n * (step || 1);
      if (next < 0 || next >= this.series.images.length) return;
      if (!this.has(next)) await this.get(next).catch(() => null);
    }
  }
}

function numbers(buffer, offset) {
  return { values: new Int16Array(buffer), offset, size: buffer.byteLength };
}

/** Return the window an image asks for; for CT without one that of soft tissue. */
export function ownWindow(series, image, frame) {
  const [centre, width] = image.window;
  if (width > 1) return [centre, width];
  if (series.modality === "CT") return [...WINDOWS.mediastinum];
  const [low, high] = extent(frame);
  return [(low + high) / 2, Math.max(high - low, 1)];
}

function extent(frame) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of frame.values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low + frame.offset, high + frame.offset];
}

/** Draws frames of grey numbers into a canvas of their own size. */
export class Painter {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.shades = new Uint32Array(65536);
    this.made = "";
  }

  paint(frame, image, centre, width) {
    if (this.canvas.width !== image.columns || this.canvas.height !== image.rows) {
      this.canvas.width = image.columns;
      this.canvas.height = image.rows;
      this.data = this.context.createImageData(image.columns, image.rows);
      this.words = new Uint32Array(this.data.data.buffer);
    }
    this.prepare(centre - frame.offset, Math.max(width, 1), image.inverted);
    const { words, shades } = this;
    const { values } = frame;
    for (let i = 0; i < words.length; i += 1) words[i] = shades[values[i] + 32768];
    this.context.putImageData(this.data, 0, 0);
    return this.canvas;
  }

  /** Make the table of shades: DICOM's linear window (PS3.3 C.11.2.1.2). */
  prepare(centre, width, inverted) {
    const key = `${centre}/${width}/${inverted}`;
    if (this.made === key) return;
    this.made = key;
    for (let i = 0; i < 65536; i += 1) {
      const share = (i - 32768 - (centre - 0.5)) / Math.max(width - 1, 1e-6) + 0.5;
      let grey = Math.min(255, Math.max(0, Math.round(share * 255)));
      if (inverted) grey = 255 - grey;
      this.shades[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }
}
