// `3 new` above a room that is scrolled past the top of its timeline, where new lines come.
"use strict";

(() => {
  const lines = document.getElementById("room-line");
  const button = document.getElementById("new-lines");
  if (!lines || !button) return;
  const HEAD_PX = 160; // what stands fixed above
  const keys = () => [...lines.querySelectorAll("li[data-key]")].map((line) => line.dataset.key);
  let seen = new Set(keys());

  function look() {
    if (lines.getBoundingClientRect().top > HEAD_PX) seen = new Set(keys());
    const fresh = keys().filter((key) => !seen.has(key)).length;
    button.hidden = fresh === 0;
    button.textContent = `${fresh} new`;
  }

  lines.addEventListener("evenkeel:patched", look);
  window.addEventListener("scroll", look, { passive: true });
  button.addEventListener("click", () => {
    seen = new Set(keys());
    look();
    const top = window.scrollY + lines.getBoundingClientRect().top - 2 * HEAD_PX;
    window.scrollTo({ top: Math.max(0, top) });
  });
})();
