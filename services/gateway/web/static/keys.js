// Shortcuts of every page: "?" lists them. Pages add their own with `on`.

const actions = new Map();

/** Run `action` when `key` is pressed outside a field. */
export function on(key, action) {
  actions.set(key, action);
}

function typing(target) {
  return target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, select");
}

const dialog = document.getElementById("keys");
on("?", () => dialog.showModal());
document.getElementById("show-keys").addEventListener("click", () => dialog.showModal());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && typing(event.target)) event.target.blur();
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  const action = actions.get(event.key);
  if (!action) return;
  event.preventDefault();
  action(event);
});

/** Times come in UTC; show them in the reader's own zone, day and hour as no country misreads them. */
export function localTimes(root) {
  root.querySelectorAll("time[datetime]").forEach((time) => {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) return;
    const [day, clock] = [dayOf(moment), `${two(moment.getHours())}:${two(moment.getMinutes())}`];
    time.textContent = day === dayOf(new Date()) ? clock : `${day} ${clock}`;
    time.title = time.dateTime;
  });
}

function two(number) {
  return String(number).padStart(2, "0");
}

function dayOf(moment) {
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

localTimes(document);
document.body.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
