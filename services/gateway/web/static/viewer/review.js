// What the physician draws, kept in the fields of the review: findings moved, findings added.

const form = document.getElementById("review");
const list = document.getElementById("added-list");
const section = document.getElementById("added");
const template = document.getElementById("added-one");

function changed(field) {
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** Return every marking of the review: what it belongs to, and where it lies. */
export function markings() {
  const moved = [...form.querySelectorAll("[data-marking-of]")].map((field) => ({
    id: field.dataset.markingOf,
    label: `→${field.dataset.number}`,
    marking: parsed(field.value),
  }));
  const added = [...list.children].map((item) => ({
    id: item.dataset.added,
    label: `+${item.dataset.added.slice(6)}`,
    marking: parsed(item.querySelector("input[type=hidden]").value),
  }));
  return [...moved, ...added].filter((one) => one.marking);
}

/** Say where a finding of the models really lies: that is a correction. */
export function move(id, marking) {
  const field = form.querySelector(`[data-marking-of="${CSS.escape(id)}"]`);
  if (!field) return;
  field.value = marking ? JSON.stringify(marking) : "";
  const finding = field.closest(".finding");
  finding.querySelector(".moved").hidden = !marking;
  if (marking) {
    const edit = finding.querySelector("input[value=edit]");
    edit.checked = true;
  }
  changed(field);
}

/** Add a finding that no model saw; return its id. */
export function add(marking, kind) {
  const used = new Set([...list.children].map((item) => item.dataset.added));
  let number = 1;
  while (used.has(`added-${number}`)) number += 1;
  const id = `added-${number}`;
  const item = template.content.firstElementChild.cloneNode(true);
  item.dataset.added = id;
  for (const part of item.querySelectorAll("[data-part]")) {
    part.name = `added:${id}:${part.dataset.part}`;
    part.id = `${id}-${part.dataset.part}`;
  }
  for (const label of item.querySelectorAll("label")) label.htmlFor = `${id}-${label.dataset.for}`;
  item.querySelector(".number").textContent = `+${number}`;
  item.querySelector("input[type=hidden]").value = JSON.stringify(marking);
  item.querySelector("select").value = kind;
  list.append(item);
  section.hidden = false;
  changed(item.querySelector("input[type=hidden]"));
  return id;
}

/** Put a marking in the place of an added finding's. */
export function replace(id, marking) {
  const item = list.querySelector(`[data-added="${CSS.escape(id)}"]`);
  if (!item) return move(id, marking);
  const field = item.querySelector("input[type=hidden]");
  field.value = JSON.stringify(marking);
  return changed(field);
}

/** Call `show` with a marking's place when it is asked for, `gone` when one is taken away. */
export function listen({ show, gone }) {
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[data-added]");
    if (event.target.closest("[data-remove]")) {
      item.remove();
      section.hidden = !list.children.length;
      changed(form.querySelector("[name=comment]") ?? form);
      gone();
    } else if (event.target.closest("[data-see]")) {
      show(parsed(item.querySelector("input[type=hidden]").value));
    }
  });
  form.addEventListener("click", (event) => {
    const undo = event.target.closest("[data-unmove]");
    if (undo) {
      move(undo.dataset.unmove, null);
      gone();
    }
  });
}
