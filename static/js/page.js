/* What every page shares: announcements and focus after a swap, the theme switch, confirmations. */
(() => {
  "use strict";
  const announcer = () => document.getElementById("announcer");
  Oversight.announce = (text) => { announcer().textContent = text; };

  /* htmx drops focus to <body> when the focused element goes: the swapped part takes it. */
  document.addEventListener("htmx:after:swap", () => {
    if (document.activeElement === document.body) {
      document.querySelector("[data-focus-after-swap]")?.focus({ preventScroll: true });
    }
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (form.matches("[data-theme-switch]")) switchTheme(event);
    if (form.matches("[data-sign-out]")) sessionStorage.clear(); // what was typed and not sent
  }, true);

  /* At once, without leaving the page: typed answers stay. */
  function switchTheme(event) {
    const chosen = event.submitter;
    if (!chosen) return;
    event.preventDefault();
    const form = event.target;
    const body = new FormData(form);
    body.set("theme", chosen.value);
    fetch(form.action, { method: "POST", body, redirect: "manual" });
    const root = document.documentElement;
    if (chosen.value === "system") delete root.dataset.theme;
    else root.dataset.theme = chosen.value;
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-shortcuts]")) {
      button.hidden = false;
      button.addEventListener("click", Oversight.keys.showSheet);
    }
  });
})();
