// A region's new HTML into the page: text and attributes in place, so that focus, drafts and selection survive.
//
// data-key    on a child: it is the same thing wherever it moves
// data-order  on a list of keyed children: their order holds for 10 s, and while pointer or focus is inside
// data-hold   on what holds a control: untouched while pointer or focus is inside
// data-draft  on a <details>: untouched while open, so that a draft stays on top of what its writer saw
// data-announce  its text is announced when it changes; data-appears  when it appears
// data-tint   it is tinted for a moment when its text changes
"use strict";

(() => {
  const app = (window.evenkeel = window.evenkeel || {});
  const ORDER_HOLDS_MS = 10000;
  const ordered = new WeakMap(); // list -> when its order changed last
  const began = performance.now();
  const waiting = new Map(); // region id -> HTML that is not wholly in the page yet
  let heldBack = false;

  const busy = (element) => element.matches(":hover") || element.contains(document.activeElement);
  const keyOf = (node) => (node.nodeType === 1 ? node.dataset?.key ?? node.id ?? "" : "");
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  // The viewer's own: whether it is open, what was typed, the token of this session.
  function own(element, name) {
    if (name === "open") return element.matches("details, dialog");
    if (name === "value" || name === "checked" || name === "selected") {
      return element.name === "_xsrf" || (element.type !== "hidden" && element.matches("input, select, textarea, option"));
    }
    return false;
  }

  function attributes(from, to) {
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value && !own(from, name)) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !own(from, name)) from.removeAttribute(name);
    }
  }

  function node(from, to) {
    if (from.nodeType !== 1) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    if (from.isEqualNode(to)) return;
    if (from.dataset?.draft !== undefined && from.open) {
      heldBack = true;
      return;
    }
    if (from.dataset?.hold !== undefined && busy(from)) {
      heldBack = true;
      return;
    }
    const before = from.textContent;
    attributes(from, to);
    if (from.dataset?.order === undefined) children(from, to);
    else list(from, to);
    if (before === from.textContent) return;
    if (from.dataset?.announce !== undefined) app.announce(from.textContent);
    if (from.dataset?.tint !== undefined) {
      from.classList.remove("changed");
      void from.offsetWidth; // begins the animation anew
      from.classList.add("changed");
    }
  }

  app.announce = (text) => {
    document.getElementById("announcer").textContent = text.trim();
  };

  function children(from, to) {
    const keyed = new Map([...from.childNodes].filter(keyOf).map((child) => [keyOf(child), child]));
    let place = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const same = keyOf(wanted) ? keyed.get(keyOf(wanted)) : place;
      if (same && same.parentNode === from && alike(same, wanted)) {
        if (same !== place) from.insertBefore(same, place);
        else place = place.nextSibling;
        node(same, wanted);
      } else {
        from.insertBefore(wanted, place);
        if (wanted.dataset?.appears !== undefined) app.announce(wanted.textContent);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  function list(from, to) {
    const wanted = [...to.children];
    const keys = new Set(wanted.map(keyOf));
    const mine = new Map([...from.children].map((child) => [keyOf(child), child]));
    for (const [key, child] of mine) {
      if (keys.has(key)) continue;
      if (busy(child)) heldBack = true;
      else child.remove();
    }
    for (const child of wanted) {
      const same = mine.get(keyOf(child));
      if (same) node(same, child);
      else from.append(child);
    }
    const order = wanted.map(keyOf);
    const now = [...from.children].map(keyOf).filter((key) => keys.has(key));
    if (order.join("\n") === now.join("\n")) return;
    if (performance.now() - (ordered.get(from) ?? began) < ORDER_HOLDS_MS || busy(from)) {
      heldBack = true;
      return;
    }
    ordered.set(from, performance.now());
    const current = new Map([...from.children].map((child) => [keyOf(child), child]));
    for (const key of order) from.append(current.get(key));
  }

  // Put `html` into the region; what must wait is tried again with `retry`.
  app.patch = (region, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    const token = document.querySelector('input[name="_xsrf"]')?.value ?? "";
    for (const field of template.content.querySelectorAll('input[name="_xsrf"]')) field.value = token;
    app.localise(template.content);
    heldBack = false;
    children(region, template.content);
    if (heldBack) waiting.set(region.id, html);
    else waiting.delete(region.id);
    region.dispatchEvent(new CustomEvent("evenkeel:patched", { bubbles: true }));
  };

  app.retry = () => {
    for (const [id, html] of [...waiting]) {
      const region = document.getElementById(id);
      if (region) app.patch(region, html);
      else waiting.delete(id);
    }
  };
})();
