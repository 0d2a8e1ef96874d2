// What is drawn over an image: boxes of findings, outlines, measures, what the physician draws.

const OWN = "#6fe3ff";
const FOUND = "#ffd24a";
const CHOSEN = "#ffffff";
const LINES = ["#ff6fd8", "#58e0ff", "#8fe388", "#ffb45c", "#c8a2ff", "#fff27a"];
const AROUND = "rgba(0, 0, 0, 0.75)";
// Outlines lie close around what they mark: a box would hide them.
const ROOM = 5;

/** Draw marks in the canvas's own pixels; `to` turns a place of the image into one of the canvas. */
export function drawMarks(context, to, marks) {
  context.save();
  context.lineWidth = 1.5;
  context.font = "600 13px system-ui, sans-serif";
  for (const { segment, lines, chosen } of marks.outlines) {
    context.beginPath();
    for (let i = 0; i < lines.length; i += 4) {
      context.moveTo(...to(lines[i], lines[i + 1]));
      context.lineTo(...to(lines[i + 2], lines[i + 3]));
    }
    stroked(context, LINES[(segment - 1) % LINES.length], chosen ? 2.5 : 1.5);
  }
  const room = marks.outlines.length ? ROOM : 0;
  for (const one of marks.boxes) {
    context.setLineDash(one.away ? [4, 4] : []);
    context.strokeStyle = one.chosen ? CHOSEN : FOUND;
    context.lineWidth = 1.5;
    shape(context, to, "box", one.box, room);
    label(context, to, one.box, one.label, FOUND, room);
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

/** Draw a path in a colour that is seen on black and on white alike. */
function stroked(context, colour, width) {
  context.strokeStyle = AROUND;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function shape(context, to, kind, [left, top, right, bottom], room = 0) {
  const [x, y] = to(left, top).map((place) => place - room);
  const [x2, y2] = to(right, bottom).map((place) => place + room);
  context.beginPath();
  if (kind === "ellipse") {
    context.ellipse((x + x2) / 2, (y + y2) / 2, Math.abs(x2 - x) / 2, Math.abs(y2 - y) / 2, 0, 0, 7);
  } else {
    context.rect(x, y, x2 - x, y2 - y);
  }
  stroked(context, context.strokeStyle, context.lineWidth);
}

function label(context, to, [, top, right], text, colour, room = 0) {
  if (!text) return;
  const [x, y] = to(right, top);
  written(context, text, x + 4 + room, y + 10 - room, colour);
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
