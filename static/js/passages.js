/* Passages of a conversation, by selection.

   A passage is a line `[output.0 15-40] quote` in a text field: readable, editable and sendable
   without this script. Offsets count code points of the raw text, which a token ⟦…⟧ stands for. */
(() => {
  "use strict";
  const LINE = /^\[((?:input|output)(?:\.\d+)?) (\d+)[-–](\d+)\]/;
  const points = (text) => [...text].length;

  /* The pieces of a block in order: [node, length in raw code points, is a token]. */
  const pieces = (block) =>
    [...block.childNodes].map((node) =>
      node.nodeType === Node.TEXT_NODE
        ? [node, points(node.data), false]
        : [node, Number(node.dataset.raw), true]);

  /* The raw offset of a place in the DOM; null outside any text. */
  function offsetOf(node, offset) {
    const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    const block = element.closest(".block");
    if (!block) return null;
    let at = Number(block.dataset.start);
    if (node === block) {
      for (const [, length] of pieces(block).slice(0, offset)) at += length;
      return { turn: block.closest(".turn"), at };
    }
    for (const [piece, length, isToken] of pieces(block)) {
      if (piece === node) return { turn: block.closest(".turn"), at: at + points(node.data.slice(0, offset)) };
      if (isToken && piece.contains(node)) return { turn: block.closest(".turn"), at: at + (offset > 0 ? length : 0) };
      at += length;
    }
    return null;
  }

  /* The selected passage as a line, or null where nothing fit is selected. */
  function selectedLine() {
    const selection = getSelection();
    if (selection.rangeCount === 0 || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    const start = offsetOf(range.startContainer, range.startOffset);
    const end = offsetOf(range.endContainer, range.endOffset);
    if (!start || !end || start.turn !== end.turn || start.at >= end.at) return null;
    const quote = selection.toString().replace(/\s+/g, " ").trim().slice(0, 200);
    return `[${start.turn.dataset.part} ${start.at}-${end.at}] ${quote}`;
  }

  /* A DOM place for a raw offset within a turn. */
  function placeOf(turn, offset) {
    let found = null;
    for (const block of turn.querySelectorAll(".block")) {
      if (Number(block.dataset.start) > offset) break;
      found = block;
    }
    if (!found) return null;
    let left = offset - Number(found.dataset.start);
    for (const [node, length, isToken] of pieces(found)) {
      if (left <= length) {
        if (isToken) return [found, [...found.childNodes].indexOf(node) + (left > 0 ? 1 : 0)];
        return [node, [...node.data].slice(0, left).join("").length];
      }
      left -= length;
    }
    return [found, found.childNodes.length];
  }

  /* Paint what the fields name; nothing in the text itself changes. */
  function paint() {
    if (!CSS.highlights) return;
    const ranges = [];
    for (const field of document.querySelectorAll("[data-passages]")) {
      for (const line of field.value.split("\n")) {
        const match = LINE.exec(line.trim());
        const turn = match && document.querySelector(`.turn[data-part="${match[1]}"]`);
        const from = turn && placeOf(turn, Number(match[2]));
        const to = turn && placeOf(turn, Number(match[3]));
        if (!from || !to) continue;
        const range = new Range();
        range.setStart(...from);
        range.setEnd(...to);
        ranges.push(range);
      }
    }
    CSS.highlights.set("passages", new Highlight(...ranges));
  }

  /* Add the selected passage to a field; false where nothing is selected. */
  function mark(field) {
    const line = selectedLine();
    if (!line) return false;
    field.value = [...field.value.split("\n").filter((one) => one.trim()), line].join("\n");
    field.dispatchEvent(new Event("input", { bubbles: true }));
    getSelection().removeAllRanges();
    return true;
  }

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-passages]")) paint();
  });
  Oversight.passages = { mark, paint };
})();
