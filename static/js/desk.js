/* The case page: keys, drafts, lease, and the time a verdict took. The page works without it. */
(() => {
  "use strict";
  const { keys, announce } = Oversight;
  const passages = () => Oversight.passages; // there where the rubric asks for passages
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const desk = () => $("#case");
  const form = () => $("#verdict-form");
  const questions = () => all("fieldset[data-question]");

  /* Questions --------------------------------------------------------------------------------- */
  const current = () => $("fieldset[data-current]") ?? questions()[0];

  function setCurrent(question, focus = true) {
    if (!question) return;
    for (const other of questions()) other.toggleAttribute("data-current", other === question);
    if (focus) question.focus({ preventScroll: true });
    question.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const list = questions();
    const next = list[list.indexOf(current()) + by];
    if (!next) return false;
    setCurrent(next);
  }

  function choose(number) {
    const question = current();
    if (!question) return false;
    const field = $("[data-write]", question);
    if (field) {
      if (number !== 1) return false;
      if (!(field.matches("[data-passages]") && passages()?.mark(field))) field.focus();
      return;
    }
    const option = $(`input[data-key="${number}"]`, question);
    if (!option) return false;
    pick(question, option);
  }

  function pick(question, option) {
    const isMany = option.type === "checkbox";
    option.checked = isMany ? !option.checked : true;
    option.dispatchEvent(new Event("change", { bubbles: true }));
    if (!isMany) advance(question);
  }

  function advance(question) {
    const list = questions();
    setCurrent(list[list.indexOf(question) + 1] ?? question);
  }

  /* `a` and `x`: the verdict itself; where it is all that is asked, it is sent at once. */
  function judge(attribute) {
    const question = $("fieldset[data-violation]");
    if (!question) return false;
    const option = all("input", question).find((input) => input.value === question.dataset[attribute]);
    pick(question, option);
    if (questions().length === 1) submit();
  }

  function submit() {
    const button = $("[data-submit]") ?? $("[data-start]");
    if (!button) return false;
    button.form.requestSubmit(button);
  }

  function moveTurn(by) {
    const turns = all(".turn");
    const at = turns.indexOf(document.activeElement.closest?.(".turn"));
    const turn = turns[at === -1 ? (by > 0 ? 0 : turns.length - 1) : at + by];
    if (!turn) return false;
    turn.focus({ preventScroll: true });
    turn.scrollIntoView({ block: "start" });
  }

  const press = (selector) => () => { const it = $(selector); if (!it) return false; it.click(); };

  function leave() {
    const active = document.activeElement;
    const open = $("[popover]:popover-open");
    if (open) { open.hidePopover(); return; }
    if (active.matches("input, textarea, select")) { setCurrent(active.closest("fieldset[data-question]") ?? current()); return; }
    return press("[data-back]")();
  }

  const verdict = { verdict: true };
  keys.add(["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"], "Choose an option, go to the next question", (event) => choose(Number(event.key)), { ...verdict, shown: ["1", "…", "9"] });
  keys.add("ArrowUp", "Previous question", () => step(-1));
  keys.add("ArrowDown", "Next question", () => step(1));
  keys.add("a", "No violation", () => judge("ok"), verdict);
  keys.add("x", "Violation", () => judge("violation"), verdict);
  keys.add("Enter", "Submit, next case", submit, verdict);
  keys.add("Enter", "Submit, also while typing", submit, { ctrl: true, always: true });
  keys.add("s", "Skip, with a reason", () => { const menu = $("#skip"); if (!menu) return false; menu.showPopover(); }, verdict);
  keys.add("n", "Write a note", () => { const note = $("#note"); if (!note) return false; note.focus(); });
  keys.add("r", "Policy", () => { const policy = $("#policy"); if (!policy) return false; policy.togglePopover(); });
  keys.add("j", "Next turn", () => moveTurn(1));
  keys.add("k", "Previous turn", () => moveTurn(-1));
  keys.add("b", "Show or hide the images", () => { const list = all(".picture"); if (!list.length) return false; const open = !list[0].open; for (const one of list) one.open = open; });
  keys.add("v", "Evidence on your last verdict", press("[data-reveal] button"), verdict);
  keys.add("z", "Change your last verdict", press("[data-change]"), verdict);
  keys.add("Escape", "Leave a field, close a panel, go back", leave, { always: true });

  document.addEventListener("focusin", (event) => {
    const question = event.target.closest?.("fieldset[data-question]");
    if (question && !question.hasAttribute("data-current")) setCurrent(question, false);
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.("[data-clause]");
    for (const article of chip ? all("#policy article") : []) {
      const isNamed = article.id === `clause-${chip.dataset.clause}`;
      article.classList.toggle("named", isNamed);
      if (isNamed) requestAnimationFrame(() => article.scrollIntoView({ block: "start" }));
    }
  });

  /* Drafts: what was entered, in this tab alone; of a passage only its place, never the text. --- */
  const draftKey = (at = desk()?.dataset) => at?.case && `oversight.draft.${at.reviewer}.${at.case}`;
  const unquoted = (text) => text.replace(/^(\[[^\]\n]+\]).*$/gm, "$1");

  function saveDraft() {
    const key = draftKey();
    if (!key) return;
    const entered = [];
    for (const [name, value] of new FormData(form())) {
      if (name !== "csrfmiddlewaretoken" && name !== "claim_token" && name !== "seconds") {
        entered.push([name, $(`[data-passages][name="${CSS.escape(name)}"]`) ? unquoted(value) : value]);
      }
    }
    sessionStorage.setItem(key, JSON.stringify(entered));
  }

  function restoreDraft() {
    const stored = draftKey() && sessionStorage.getItem(draftKey());
    if (!stored) return;
    for (const [name, value] of JSON.parse(stored)) {
      for (const field of all(`[name="${CSS.escape(name)}"]`, form())) {
        if (field.matches("[type=radio], [type=checkbox]")) { if (field.value === value) field.checked = true; }
        else if (!field.value) field.value = value;
      }
    }
  }

  /* Lease -------------------------------------------------------------------------------------- */
  const ACTIVE_MS = 5 * 60_000;
  let deadline = Infinity;
  let lastActive = performance.now();
  let beating = false;
  let beatAt = Infinity;
  let hasWarned = false;

  function setLease(seconds, lease) {
    deadline = performance.now() + seconds * 1000;
    beatAt = performance.now() + Math.min(lease / 3, 60) * 1000;
    hasWarned = false;
  }

  async function beat() {
    const at = desk();
    if (beating || !at?.dataset.heartbeat) return;
    beating = true;
    beatAt = performance.now() + 15_000;
    const body = new FormData();
    body.set("claim_token", at.dataset.token);
    body.set("csrfmiddlewaretoken", $("[name=csrfmiddlewaretoken]", form()).value);
    try {
      const answer = await fetch(at.dataset.heartbeat, { method: "POST", body, headers: { Accept: "application/json" } });
      if (at !== desk()) return;
      if (answer.ok) setLease((await answer.json()).seconds_left, Number(at.dataset.lease));
      else if (answer.status === 409 || answer.status === 401) {
        delete at.dataset.heartbeat;
        complain(answer.status);
      }
    } catch {
      // Offline: the next beat tries again, and a submit says so.
    } finally {
      beating = false;
    }
  }

  function tick() {
    const shown = $("#lease");
    if (!shown) return;
    const now = performance.now();
    const left = Math.max(0, Math.round((deadline - now) / 1000));
    shown.textContent = left ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "lease over";
    shown.parentElement.classList.toggle("soon", left > 0 && left <= 60);
    shown.parentElement.classList.toggle("over", left === 0);
    if (left <= 60 && left > 0 && !hasWarned) {
      hasWarned = true;
      announce("One minute left for this case. Press any key to keep it.");
    }
    if (now >= beatAt && document.visibilityState === "visible" && now - lastActive < ACTIVE_MS) beat();
  }

  for (const kind of ["keydown", "pointerdown"]) {
    document.addEventListener(kind, () => {
      lastActive = performance.now();
      if (deadline - lastActive < 60_000) beat();
    }, { passive: true });
  }

  /* Sending ------------------------------------------------------------------------------------ */
  let seconds = 0;
  let since = performance.now();
  const elapsed = () => seconds + (document.visibilityState === "visible" ? (performance.now() - since) / 1000 : 0);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") seconds += (performance.now() - since) / 1000;
    since = performance.now();
  });

  const WORDS = {
    0: "the server cannot be reached. Submit again when you are back online.",
    401: "you have been signed out. Sign in again in another tab, then submit.",
    403: "the page is older than your login. Reload it, then submit.",
    409: "another reviewer has this case now, as your lease ran out.",
  };

  /* Why nothing was saved, by the answer's status (0: there was none). */
  function complain(status) {
    const notice = document.createElement("p");
    notice.className = "notice error";
    notice.textContent = `Not saved: ${WORDS[status] ?? `the server answered ${status}. Submit again.`} Your answers stay here.`;
    $("#case-alert")?.replaceChildren(notice);
  }

  document.addEventListener("submit", (event) => {
    const at = desk();
    if (!at?.contains(event.target) || event.defaultPrevented) return;
    if (at.classList.contains("busy")) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    if (event.target === form()) {
      const field = $("[name=seconds]", form());
      if (field) field.value = elapsed().toFixed(1);
    }
  }, true);
  document.addEventListener("input", (event) => { if (form()?.contains(event.target)) saveDraft(); });
  document.addEventListener("change", (event) => { if (form()?.contains(event.target)) saveDraft(); });

  let sent = null;
  document.addEventListener("htmx:before:request", () => { sent = draftKey(); desk()?.classList.add("busy"); });
  document.addEventListener("htmx:finally:request", () => desk()?.classList.remove("busy"));
  document.addEventListener("htmx:response:error", (event) => {
    const { status } = event.detail.ctx.response;
    if (status !== 409 && status !== 422) complain(status); // these two come with their own words
  });
  document.addEventListener("htmx:error", (event) => { if (!event.detail.ctx?.response) complain(0); });

  /* After a refusal the fields say what is wrong with them, and the first one takes the focus. */
  function showErrors() {
    const wrong = all("#case-alert data");
    for (const place of all("[data-error]")) place.textContent = "";
    for (const one of wrong) {
      const place = document.getElementById(`error-${one.value}`);
      if (place) place.textContent = one.textContent;
    }
    const first = questions().find((question) => $("[data-error]", question)?.textContent);
    if (first) setCurrent(first);
  }

  let arrived = null;
  function arrive() {
    const at = arrived = desk();
    if (!at) return;
    if (at.dataset.case) setLease(Number(at.dataset.secondsLeft), Number(at.dataset.lease));
    restoreDraft();
    passages()?.paint();
    seconds = 0;
    requestAnimationFrame(() => { since = performance.now(); });
    const refused = questions().find((question) => $("[data-error]", question)?.textContent);
    setCurrent(refused ?? questions()[0], Boolean(refused));
  }

  document.addEventListener("htmx:after:swap", () => {
    if (desk() === arrived) { showErrors(); return; } // only the alert was swapped
    if (sent && sent !== draftKey()) sessionStorage.removeItem(sent);
    keys.quiet(300);
    window.scrollTo(0, 0);
    arrive();
    desk().focus({ preventScroll: true });
    announce(desk().dataset.announce ?? "");
  });
  document.addEventListener("DOMContentLoaded", () => { arrive(); tick(); });
  setInterval(tick, 1000);
})();
