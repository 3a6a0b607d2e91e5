// A page of the past is scrubbed through: [data-scrub] on a GET form with a range names what it swaps.
"use strict";

(() => {
  const app = (window.evenkeel = window.evenkeel || {});
  let request = null; // the newest one; an answer to an older one is dropped

  async function read(address, signal) {
    try {
      const answer = await fetch(address, { signal });
      return answer.ok && !answer.redirected ? await answer.text() : null;
    } catch {
      return null; // scrubbed on, or no network: what was shown stays, and the button loads the page
    }
  }

  function swap(from, to) {
    from.replaceChildren(...to.childNodes);
    app.localise(from);
  }

  async function show(form) {
    request?.abort();
    const mine = (request = new AbortController());
    const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const html = await read(address, mine.signal);
    if (html === null || mine !== request) return;
    const page = new DOMParser().parseFromString(html, "text/html"); // ours, escaped by its templates
    for (const id of form.dataset.scrub.split(" ")) swap(document.getElementById(id), page.getElementById(id));
    // The range itself stays under the pointer, and keeps the focus.
    swap(form.querySelector(".buttons"), page.querySelector("[data-scrub] .buttons"));
    history.replaceState(null, "", address);
  }

  document.addEventListener("input", (event) => {
    const form = event.target.closest("[data-scrub]");
    if (form) show(form);
  });
})();
