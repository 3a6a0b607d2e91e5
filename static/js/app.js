// What every page has: times in the viewer's zone, the clock, keys, the palette.
"use strict";

(() => {
  const app = (window.evenkeel = window.evenkeel || {});
  const FORMS = {
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    week: { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  };
  const WEEK_MS = 6 * 86400e3; // within it the name of a weekday is a date
  // A time of another day has its date, one of another year its year.
  const dated = (parts) => [{}, { year: "numeric" }].map((year) => new Intl.DateTimeFormat(undefined, { ...FORMS.day, ...parts, ...year }));
  const DATED = { clock: dated({ second: "2-digit" }), other: dated({}) };
  for (const form of Object.keys(FORMS)) FORMS[form] = new Intl.DateTimeFormat(undefined, FORMS[form]);
  const zoned = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
  });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  // `3 min 12 s`, as dashboard/shared/format.py says it.
  app.span = (seconds) => {
    seconds = Math.max(0, seconds);
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    const whole = Math.floor(seconds);
    for (const [unit, small, name, part, limit] of [
      [60, 1, "min", "s", 3600], [3600, 60, "h", "min", 86400], [86400, 3600, "d", "h", Infinity],
    ]) {
      if (whole >= limit) continue;
      const rest = Math.floor((whole % unit) / small);
      return `${Math.floor(whole / unit)} ${name}${rest ? ` ${rest} ${part}` : ""}`;
    }
    return "";
  };

  function inWords(at, form) {
    if (form === "ago") return `${app.span((Date.now() - at) / 1000)} ago`;
    if (form === "for") return app.span((Date.now() - at) / 1000);
    const now = new Date();
    const today = at.toDateString() === now.toDateString();
    const near = Math.abs(at - now) < WEEK_MS;
    if (form in FORMS && (form === "week" ? near : form !== "day" && today)) return FORMS[form].format(at);
    return (DATED[form] || DATED.other)[at.getFullYear() === now.getFullYear() ? 0 : 1].format(at);
  }

  // Every <time> under `root`, from UTC as the server wrote it to the viewer's zone.
  app.localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const text = inWords(at, time.dataset.form);
      if (time.textContent !== text) time.textContent = text;
      if (!time.title) time.title = full.format(at);
    }
  };

  const clock = document.getElementById("clock");
  function everySecond() {
    if (clock) clock.textContent = zoned.format(new Date());
    app.localise(document);
  }
  everySecond();
  setInterval(everySecond, 1000);

  // ---- keys: none of them acts, they only go and show ----

  const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
  const dialog = (id) => document.getElementById(id);
  let went = 0; // when `g` was pressed

  function move(step) {
    const stops = [...document.querySelectorAll("main a.open")].filter((stop) => stop.checkVisibility());
    const here = stops.indexOf(document.activeElement);
    const next = stops[here < 0 ? (step > 0 ? 0 : stops.length - 1) : here + step];
    if (next) next.focus();
  }

  // [data-shortcut]: where a key leads. It follows a link, or puts the focus there; it presses nothing.
  function reach(event) {
    const there = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
    if (!there) return;
    event.preventDefault();
    there.closest("details")?.setAttribute("open", "");
    if (there.matches("a")) there.click();
    else there.focus();
  }

  function show(id) {
    const shown = dialog(id);
    for (const other of document.querySelectorAll("dialog[open]")) if (other !== shown) other.close();
    if (shown && !shown.open) shown.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      if (!dialog("palette")) return;
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (went && performance.now() - went < 1500) {
      went = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    went = key === "g" ? performance.now() : 0;
    if (key === "/" && document.getElementById("search")) {
      event.preventDefault();
      document.getElementById("search").focus();
    } else if (key === "?") show("keys");
    else if (key === "j") move(1);
    else if (key === "k") move(-1);
    else reach(event);
  });

  // ---- the palette: anything that has a page, by a few letters ----

  const palette = dialog("palette");
  const list = dialog("palette-list");
  const input = palette?.querySelector("input");
  let asked = new AbortController(); // the question under way
  let asking = false;
  let listed = false; // what is listed is of what is typed
  let entered = false; // somebody goes where the answer leads

  function openPalette() {
    input.value = "";
    show("palette");
    // The pages at once, and without a network.
    list.replaceChildren(...[...document.querySelectorAll("[data-go]")].map((page) => {
      const item = document.createElement("li");
      item.setAttribute("role", "option");
      const link = document.createElement("a");
      link.href = page.href;
      link.tabIndex = -1;
      link.textContent = page.textContent;
      item.append(link);
      return item;
    }));
    choose(0);
    find();
  }

  async function find() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    listed = !input.value; // the pages are there without asking
    [asking, entered] = [!listed, false];
    try {
      const answer = await fetch(`/find/places?${new URLSearchParams({ q: input.value })}`, { signal });
      const places = await answer.text();
      if (answer.ok && !answer.redirected) {
        list.innerHTML = places; // escaped by its template
        listed = true;
        choose(0);
      }
    } catch {
      if (signal.aborted) return; // typed on
    }
    asking = false;
    if (entered) go();
  }

  function go() {
    const link = listed && list.querySelector('[aria-selected="true"] a');
    if (link) link.click();
    else input.form.submit(); // without a list, and where it is empty, /find tells what there is
  }

  const options = () => [...list.querySelectorAll("[role=option]")];
  const chosen = () => options().findIndex((item) => item.getAttribute("aria-selected") === "true");

  function choose(index) {
    const all = options();
    const to = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((item, at) => item.setAttribute("aria-selected", String(at === to)));
    all[to]?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", all[to]?.id ?? "");
  }

  if (palette) {
    input.addEventListener("input", find);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        choose(chosen() + (event.key === "ArrowDown" ? 1 : -1));
      } else if (event.key === "Enter") {
        event.preventDefault();
        if (asking) entered = true;
        else go();
      }
    });
  }
  for (const shown of document.querySelectorAll("dialog")) {
    shown.addEventListener("click", (event) => { if (event.target === shown) shown.close(); });
  }
  // The menu of who is signed in closes as a menu does.
  const who = document.querySelector("details.who");
  if (who) {
    document.addEventListener("click", (event) => { if (!who.contains(event.target)) who.open = false; });
    who.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { who.open = false; who.querySelector("summary").focus(); }
    });
  }
})();
