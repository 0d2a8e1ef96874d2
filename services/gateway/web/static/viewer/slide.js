// A slide: only the tiles that are seen, of the level that is sharp enough; a heat map over it.

const TILES_MAX = 400;
const AT_ONCE = 6;

/** Tiles of pictures, fetched a few at once, kept for a while. */
class Tiles {
  constructor(changed) {
    this.changed = changed;
    this.kept = new Map();
    this.queue = new Map();
    this.busy = 0;
  }

  /** Return a tile, or null while it comes. */
  get(address, convert) {
    const kept = this.kept.get(address);
    if (kept !== undefined) {
      this.kept.delete(address);
      this.kept.set(address, kept);
      return kept;
    }
    this.queue.set(address, convert);
    return null;
  }

  /** Forget what is not wanted any more, then fetch. */
  work(wanted) {
    for (const address of this.queue.keys()) if (!wanted.has(address)) this.queue.delete(address);
    while (this.busy < AT_ONCE && this.queue.size) {
      const [address, convert] = this.queue.entries().next().value;
      this.queue.delete(address);
      this.fetch(address, convert);
    }
    return this.busy + this.queue.size;
  }

  async fetch(address, convert) {
    this.busy += 1;
    let tile = false;
    try {
      const answer = await fetch(address);
      if (answer.ok) tile = await convert(await createImageBitmap(await answer.blob()));
    } catch {
      tile = false; // a tile that does not come stays blank
    }
    this.busy -= 1;
    this.kept.set(address, tile);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= TILES_MAX) break;
      this.kept.delete(oldest);
    }
    this.changed();
  }
}

export class Slide {
  constructor(base, series, changed) {
    this.base = base;
    this.series = series;
    this.levels = series.levels;
    this.tiles = new Tiles(changed);
    this.heat = null;
  }

  get width() {
    return this.levels[0].width;
  }

  get height() {
    return this.levels[0].height;
  }

  /** Draw what a view shows, from its corner {x, y} on; return how many tiles are still to come. */
  draw(context, view, size, overlay) {
    const wanted = new Set();
    const sharp = this.levels.findLastIndex((level) => this.width / level.width <= 1.2 / view.scale);
    const best = Math.max(sharp, 0);
    for (let number = this.levels.length - 1; number >= best; number -= 1) {
      const under = number !== best && number !== this.levels.length - 1;
      if (!under) this.level(context, view, size, this.levels[number], wanted);
    }
    if (overlay && this.heat) this.drawHeat(context, view, size, wanted);
    return this.tiles.work(wanted);
  }

  level(context, view, size, level, wanted) {
    const per = this.width / level.width;
    const [tileWidth, tileHeight] = level.tile;
    const across = Math.ceil(level.width / tileWidth);
    each(view, size, per, tileWidth, tileHeight, level, (column, row) => {
      const frame = row * across + column + 1;
      if (frame > level.frames) return;
      const address = `${this.base}/pictures/${this.series.uid}/${level.sop}/${frame}`;
      wanted.add(address);
      const tile = this.tiles.get(address, (bitmap) => bitmap);
      if (!tile) return;
      const wide = Math.min(tileWidth, level.width - column * tileWidth);
      const high = Math.min(tileHeight, level.height - row * tileHeight);
      place(context, view, tile, [column * tileWidth, row * tileHeight, wide, high], per);
    });
  }

  drawHeat(context, view, size, wanted) {
    const { series, sop, slide } = this.heat;
    const per = this.width / slide.width;
    for (const [frame, left, top, segment] of slide.tiles) {
      const [wide, high] = [
        Math.min(slide.tile[0], slide.width - left), Math.min(slide.tile[1], slide.height - top),
      ];
      const x = (left * per - view.x) * view.scale;
      const y = (top * per - view.y) * view.scale;
      const [w, h] = [wide * per * view.scale, high * per * view.scale];
      if (segment !== 1 || x > size.width || y > size.height || x + w < 0 || y + h < 0) continue;
      const address = `${this.base}/pictures/${series}/${sop}/${frame}`;
      wanted.add(address);
      const tile = this.tiles.get(address, coloured);
      if (tile) place(context, view, tile, [left, top, wide, high], per);
    }
  }
}

function each(view, size, per, tileWidth, tileHeight, level, visit) {
  const last = (length, tile) => Math.ceil(length / tile) - 1;
  const first = (from, tile) => Math.max(0, Math.floor(from / per / tile));
  const end = (from, shown, tile, length) =>
    Math.min(last(length, tile), Math.floor((from + shown / view.scale) / per / tile));
  for (let row = first(view.y, tileHeight); row <= end(view.y, size.height, tileHeight, level.height); row += 1) {
    for (let column = first(view.x, tileWidth); column <= end(view.x, size.width, tileWidth, level.width); column += 1) {
      visit(column, row);
    }
  }
}

function place(context, view, tile, [left, top, wide, high], per) {
  const x = Math.floor((left * per - view.x) * view.scale);
  const y = Math.floor((top * per - view.y) * view.scale);
  const right = Math.ceil(((left + wide) * per - view.x) * view.scale);
  const bottom = Math.ceil(((top + high) * per - view.y) * view.scale);
  context.drawImage(tile, 0, 0, wide, high, x, y, right - x, bottom - y);
}

/** Return a tile of shares, 0 to 255, in the colours of heat; nothing where there is none. */
async function coloured(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const share = data[i] / 255;
    data[i] = 255;
    data[i + 1] = Math.round(220 * (1 - share));
    data[i + 2] = 0;
    data[i + 3] = share < 0.02 ? 0 : Math.round(60 + 110 * share);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
