// The case page: images linked to findings, sources linked to sentences, verdicts by key.
import { on } from "/static/keys.js";

const form = document.getElementById("review");
const findings = [...document.querySelectorAll(".finding")];
const images = [...document.querySelectorAll(".key-image")];
const thumbs = [...document.querySelectorAll("[data-image]")];
const overlay = document.getElementById("overlay");
let current = -1;

function showImage(index) {
  images.forEach((image, i) => { image.hidden = i !== index; });
  thumbs.forEach((thumb, i) => thumb.setAttribute("aria-pressed", String(i === index)));
}

function choose(index) {
  if (index < 0 || index >= findings.length) return;
  current = index;
  const finding = findings[index];
  findings.forEach((other) => other.classList.toggle("chosen", other === finding));
  document.querySelectorAll(".mark").forEach((mark) =>
    mark.classList.toggle("chosen", mark.dataset.finding === finding.dataset.finding));
  if (finding.dataset.onImage) showImage(Number(finding.dataset.onImage));
  if (viewing()) viewer.show(finding.dataset.findingId);
}

function goTo(index) {
  choose(index);
  if (current === index) findings[index].focus();
}

function judge(verdict) {
  const finding = findings[Math.max(current, 0)];
  const radio = finding?.querySelector(`input[value=${verdict}]`);
  if (!radio || radio.matches(":disabled")) return;
  choose(Math.max(current, 0));
  radio.checked = true;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  if (verdict === "edit") finding.querySelector("textarea").focus();
}

function toggleOverlay() {
  if (!overlay) return;
  const shown = overlay.getAttribute("aria-pressed") !== "true";
  overlay.setAttribute("aria-pressed", String(shown));
  document.querySelector(".images").classList.toggle("bare", !shown);
  viewer?.setOverlay(shown);
}

const opener = document.getElementById("viewer-open");
let viewer = null;

function viewing() {
  return Boolean(viewer) && opener.getAttribute("aria-pressed") === "true";
}

/** Show all slices in place of the key images, or the key images again. */
async function toggleViewer(open = !viewing()) {
  if (!opener) return;
  opener.setAttribute("aria-pressed", String(open));
  opener.querySelector(".word").textContent = open ? opener.dataset.close : opener.dataset.open;
  document.getElementById("key-images").hidden = open;
  document.querySelector(".columns").classList.toggle("viewing", open);
  const root = document.getElementById("viewer");
  root.hidden = !open;
  if (!open) {
    if (root.classList.contains("large")) viewer?.tools.large();
    return;
  }
  if (!viewer) {
    const { Viewer } = await import("/static/viewer/viewer.js");
    viewer = new Viewer(root);
  }
  await viewer.start();
  if (current >= 0) await viewer.show(findings[current].dataset.findingId);
}

/** Do something in the viewer, which is opened first. */
async function inViewer(action) {
  if (!opener) return;
  if (!viewing()) await toggleViewer(true);
  if (viewer?.view) action(viewer);
}

/** Mark what a sentence of the summary rests on; `reveal`: bring the note to where it is seen. */
function highlight(number, reveal = false) {
  document.querySelectorAll(".sentence").forEach((sentence) =>
    sentence.setAttribute("aria-pressed", String(sentence.dataset.sentence === number)));
  let first = null;
  document.querySelectorAll("mark").forEach((mark) => {
    const chosen = mark.dataset.sentences.split(" ").includes(number);
    mark.classList.toggle("chosen", chosen);
    first ??= chosen && mark.textContent.trim() ? mark : null;
  });
  if (!first) return;
  const text = first.closest(".note-text");
  text.scrollTop = first.offsetTop - text.offsetTop - 24;
  const { top, bottom } = first.getBoundingClientRect();
  const foot = document.querySelector(".sign")?.getBoundingClientRect().top ?? innerHeight;  // it lies over the page
  if (reveal && (top < 0 || bottom > Math.min(foot, innerHeight))) first.scrollIntoView({ block: "center" });
}

/** Go back from a place in a note to the sentence that rests on it. */
function sentenceOf(mark) {
  const number = mark.dataset.sentences.split(" ")[0];
  highlight(number);
  document.querySelector(`.sentence[data-sentence="${number}"]`)?.scrollIntoView({ block: "center" });
}

/** Say how many findings have no verdict, and show a correction where one is wanted. */
function count() {
  let open = 0;
  for (const finding of findings) {
    const verdict = finding.querySelector(".verdict input:checked")?.value;
    const correction = finding.querySelector(".correction");
    const moved = Boolean(finding.querySelector("[data-marking-of]")?.value);
    correction.hidden = verdict !== "edit";
    finding.classList.toggle("judged", Boolean(verdict));
    if (!verdict || (verdict === "edit" && !moved && !correction.querySelector("textarea").value.trim())) open += 1;
  }
  const status = document.querySelector(".sign .open");
  if (!status) return;
  status.textContent = open ? status.dataset.open.replace("#", open) : status.dataset.ready;
  status.classList.toggle("ready", !open);
}

findings.forEach((finding, index) => {
  finding.addEventListener("focusin", () => choose(index));
  finding.addEventListener("click", () => choose(index));
  finding.querySelector("[data-show]")?.addEventListener("click", () => choose(index));
  finding.querySelector("[data-move]")?.addEventListener("click", (event) =>
    inViewer((open) => { choose(index); open.tools.take("box", event.target.dataset.move); }));
});
thumbs.forEach((thumb, index) => thumb.addEventListener("click", () => showImage(index)));
document.querySelectorAll(".mark").forEach((mark) =>
  mark.addEventListener("click", () => goTo(Number(mark.dataset.finding) - 1)));
document.querySelectorAll(".sentence").forEach((sentence) => {
  sentence.addEventListener("click", () => highlight(sentence.dataset.sentence, true));
  sentence.addEventListener("focus", () => highlight(sentence.dataset.sentence));
});
document.querySelectorAll("mark[data-sentences]").forEach((mark) =>
  mark.addEventListener("click", () => sentenceOf(mark)));
overlay?.addEventListener("click", toggleOverlay);
opener?.addEventListener("click", () => toggleViewer());
form.addEventListener("input", count);
form.addEventListener("change", count);
// What was refused is being put right: the refusal must not stand beside "every finding has a verdict".
for (const change of ["input", "change"]) {
  form.addEventListener(change, () => document.querySelector(".sign .problem")?.remove());
}
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  form.addEventListener(failure, () => {
    const saved = document.getElementById("saved");
    saved.textContent = saved.dataset.failed;
  });
}

for (let digit = 1; digit <= 9; digit += 1) on(String(digit), () => goTo(digit - 1));
on("n", () => goTo(Math.min(current + 1, findings.length - 1)));
on("p", () => goTo(Math.max(current - 1, 0)));
on("a", () => judge("agree"));
on("d", () => judge("disagree"));
on("e", () => judge("edit"));
on("o", toggleOverlay);
on("r", () => document.getElementById("results").focus());
on("s", () => (document.getElementById("password") ?? document.getElementById("amend")).focus());
if (opener) {
  on("v", () => toggleViewer());
  on("f", () => inViewer((open) => open.tools.large()));
  on("[", () => inViewer((open) => open.cycle(-1)));
  on("]", () => inViewer((open) => open.cycle(1)));
  for (const [key, tool] of [["x", "measure"], ["b", "box"], ["c", "ellipse"]]) {
    on(key, () => inViewer((open) => { open.tools.take(tool); open.canvas.focus(); }));
  }
}
on("w", () => { window.location.assign(document.querySelector(".brand").href); });
count();
