// The worklist by keyboard: j and k move, Enter opens, w returns here.
import { on } from "/static/keys.js";

function move(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
  rows[Math.max(0, Math.min(rows.length - 1, next))].focus();
}

on("j", () => move(1));
on("k", () => move(-1));

// A refresh replaces the rows: keep the focus on the same case.
let held = null;
document.body.addEventListener("htmx:beforeSwap", () => {
  held = document.activeElement?.matches("[data-row]") ? document.activeElement.getAttribute("href") : null;
});
document.body.addEventListener("htmx:afterSettle", () => {
  if (held) [...document.querySelectorAll("[data-row]")].find((row) => row.getAttribute("href") === held)?.focus();
});
