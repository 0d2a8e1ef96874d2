// Shortcuts of every page: "?" lists them. Pages add their own with `on`.

const actions = new Map();

/** Run `action` when `key` is pressed outside a field, or with Alt anywhere. */
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

/** Times come in UTC; show them in the reader's own zone. */
export function localTimes(root) {
  root.querySelectorAll("time[datetime]").forEach((time) => {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) return;
    const sameDay = moment.toDateString() === new Date().toDateString();
    const style = sameDay ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" };
    time.textContent = moment.toLocaleString(document.documentElement.lang, style);
    time.title = time.dateTime;
  });
}

localTimes(document);
document.body.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
