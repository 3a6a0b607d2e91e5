// What a form would do, under its fields, while they are typed: [data-preview] is the address that says it.
"use strict";

(() => {
  const TYPING_MS = 250;
  const UNASKED = new Set(["_xsrf", "reason", "override"]); // said when it is done, not before
  const asking = new WeakMap(); // the sentence's element -> its timer and the request under way

  function ask(sentence) {
    const before = asking.get(sentence);
    clearTimeout(before?.timer);
    before?.request.abort();
    const request = new AbortController();
    asking.set(sentence, { request, timer: setTimeout(() => show(sentence, request.signal), TYPING_MS) });
  }

  async function show(sentence, signal) {
    const fields = [...new FormData(sentence.closest("form"))].filter(([name]) => !UNASKED.has(name));
    try {
      const answer = await fetch(`${sentence.dataset.preview}?${new URLSearchParams(fields)}`, { signal });
      if (answer.ok && !answer.redirected) sentence.innerHTML = await answer.text(); // escaped by its template
    } catch {
      // Typed on, or no network: the last sentence stands, and the act says what it does itself.
    }
  }

  const previewed = (element) => element.querySelector("[data-preview]");
  document.addEventListener("input", (event) => {
    const sentence = event.target.form && previewed(event.target.form);
    if (sentence && !UNASKED.has(event.target.name)) ask(sentence);
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.open && previewed(event.target)) ask(previewed(event.target));
  }, true);
})();
