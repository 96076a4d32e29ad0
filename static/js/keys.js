/* One registry of keyboard shortcuts: it drives the handler and the "?" sheet.

   A shortcut is dead while somebody types, composes, repeats or holds a modifier, and all are dead
   while switched off (WCAG 2.1.4). Pages call Oversight.keys.add(). */
(() => {
  "use strict";
  const SWITCH = "oversight.keys";
  const bindings = [];
  let quietUntil = 0;

  const isOn = () => localStorage.getItem(SWITCH) !== "off";

  const types = (element) =>
    element.isContentEditable ||
    element.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])");

  /* Keys that the focused element means something else by. */
  const belongsTo = (element, key) => {
    if (key === "Enter") return element.matches("a, button, summary");
    if (key.startsWith("Arrow")) return element.matches("input[type=radio], [role=slider]");
    return key === " ";
  };

  function onKeyDown(event) {
    if (event.isComposing || event.repeat || event.altKey || event.metaKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("dialog, [popover]")) return; // Esc closes these by itself
    for (const binding of bindings) {
      if (!binding.keys.includes(event.key) || binding.ctrl !== event.ctrlKey) continue;
      if (!binding.always) {
        if (!isOn() || types(target) || belongsTo(target, event.key)) continue;
        if (binding.verdict && performance.now() < quietUntil) { event.preventDefault(); return; }
      }
      if (binding.run(event) === false) continue;
      event.preventDefault();
      return;
    }
  }

  /* options: label (for the sheet), ctrl, verdict (dead right after a swap),
     always (also while typing). run() returns false where it has nothing to do. */
  function add(keys, label, run, options = {}) {
    bindings.push({ keys: [].concat(keys), label, run, ctrl: false, ...options });
  }

  function row(binding) {
    const names = { ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
    const line = document.createElement("div");
    const keys = document.createElement("dt");
    const shown = binding.shown ?? binding.keys.map((key) => (binding.ctrl ? "Ctrl " : "") + (names[key] ?? key));
    for (const name of shown) {
      const kbd = document.createElement("kbd");
      kbd.textContent = name;
      keys.append(kbd, " ");
    }
    const what = document.createElement("dd");
    what.textContent = binding.label;
    line.append(keys, what);
    return line;
  }

  function sheet() {
    const old = document.getElementById("shortcut-sheet");
    if (old) return old;
    const dialog = document.createElement("dialog");
    dialog.id = "shortcut-sheet";
    dialog.className = "shortcuts";
    dialog.setAttribute("aria-labelledby", "shortcut-title");
    const title = document.createElement("h2");
    title.id = "shortcut-title";
    title.textContent = "Keyboard shortcuts";
    const list = document.createElement("dl");
    for (const binding of bindings) if (binding.label) list.append(row(binding));
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = isOn();
    box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "on" : "off"));
    label.append(box, " Single-key shortcuts on");
    const form = document.createElement("form");
    form.method = "dialog";
    const close = document.createElement("button");
    close.textContent = "Close";
    form.append(label, close);
    dialog.append(title, list, form);
    document.body.append(dialog);
    return dialog;
  }

  function showSheet() {
    const dialog = sheet();
    if (!dialog.open) dialog.showModal();
  }

  document.addEventListener("keydown", onKeyDown);
  window.Oversight = { keys: { add, showSheet, quiet: (ms) => { quietUntil = performance.now() + ms; } } };
  add("?", "This list", showSheet);
})();
