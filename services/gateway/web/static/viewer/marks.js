// What is drawn over an image: boxes of findings, outlines, measures, what the physician draws.

const OWN = "#6fe3ff";
const FOUND = "#ffd24a";
const CHOSEN = "#ffffff";
const LINES = ["#ffd24a", "#ff8f6b", "#8fe388", "#c8a2ff", "#6fc7ff", "#ffb3d9"];

/** Draw marks in the canvas's own pixels; `to` turns a place of the image into one of the canvas. */
export function drawMarks(context, to, marks) {
  context.save();
  context.lineWidth = 1.5;
  context.font = "600 13px system-ui, sans-serif";
  for (const { segment, lines, chosen } of marks.outlines) {
    context.strokeStyle = LINES[(segment - 1) % LINES.length];
    context.lineWidth = chosen ? 2.5 : 1.5;
    context.beginPath();
    for (let i = 0; i < lines.length; i += 4) {
      context.moveTo(...to(lines[i], lines[i + 1]));
      context.lineTo(...to(lines[i + 2], lines[i + 3]));
    }
    context.stroke();
  }
  context.lineWidth = 1.5;
  for (const one of marks.boxes) {
    context.strokeStyle = one.chosen ? CHOSEN : FOUND;
    context.setLineDash(one.away ? [4, 4] : []);
    shape(context, to, "box", one.box);
    label(context, to, one.box, one.label, FOUND);
  }
  context.setLineDash([]);
  for (const one of marks.own) {
    context.strokeStyle = OWN;
    context.lineWidth = one.active ? 2.5 : 1.8;
    shape(context, to, one.shape, one.box);
    label(context, to, one.box, one.label, OWN);
  }
  for (const one of marks.measures) measure(context, to, one);
  context.restore();
}

function shape(context, to, kind, [left, top, right, bottom]) {
  const [x, y] = to(left, top);
  const [x2, y2] = to(right, bottom);
  context.beginPath();
  if (kind === "ellipse") {
    context.ellipse((x + x2) / 2, (y + y2) / 2, Math.abs(x2 - x) / 2, Math.abs(y2 - y) / 2, 0, 0, 7);
  } else {
    context.rect(x, y, x2 - x, y2 - y);
  }
  context.stroke();
}

function label(context, to, [, top, right], text, colour) {
  if (!text) return;
  const [x, y] = to(right, top);
  written(context, text, x + 4, y + 10, colour);
}

function measure(context, to, { from, till, text, active }) {
  const [[x, y], [x2, y2]] = [to(...from), to(...till)];
  context.strokeStyle = OWN;
  context.lineWidth = active ? 2.5 : 1.8;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x2, y2);
  context.stroke();
  for (const [px, py] of [[x, y], [x2, y2]]) {
    context.beginPath();
    context.arc(px, py, 3, 0, 7);
    context.stroke();
  }
  written(context, text, x2 + 8, y2 + 4, OWN);
}

function written(context, text, x, y, colour) {
  context.lineWidth = 3;
  context.strokeStyle = "#000";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
  context.lineWidth = 1.5;
}

/** Return the length of a line on an image, as people say it. */
export function lengthOf([x, y], [x2, y2], mm) {
  if (!mm) return `${Math.hypot(x2 - x, y2 - y).toFixed(0)} px`;
  const length = Math.hypot((x2 - x) * mm[1], (y2 - y) * mm[0]);
  return length < 0.1 ? `${(length * 1000).toFixed(1)} µm` : `${length.toFixed(1)} mm`;
}

/** Return the box that two corners span, its edges in order and within the image. */
export function boxOf([x, y], [x2, y2], width, height) {
  const within = (value, end) => Math.round(Math.min(Math.max(value, 0), end) * 100) / 100;
  return [
    within(Math.min(x, x2), width), within(Math.min(y, y2), height),
    within(Math.max(x, x2), width), within(Math.max(y, y2), height),
  ];
}
