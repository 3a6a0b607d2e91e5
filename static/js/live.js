// The page's stream, and the watchdog over it: within 3 s without an event the page says so and connects anew.
"use strict";

(() => {
  const app = (window.evenkeel = window.evenkeel || {});
  const body = document.body;
  if (!body.dataset.live) return;

  const STALE_MS = 3000; // a picture older than this is not the present
  const SILENT_MS = 2500; // events come each second, 1.6 s apart at worst: with the turn of 250 ms, told within 3 s
  const GRACE_MS = 1500; // for the first event after the page was turned to
  const RETRY_MS = [1000, 2000, 4000, 5000];
  const banner = document.getElementById("stale");
  const freshness = document.getElementById("freshness");

  let source = null;
  let seq = "";
  let heard = performance.now(); // when the last event came
  let opened = heard;
  let turned = heard; // when the page was turned to
  let age = body.dataset.age === "" ? null : Number(body.dataset.age) * 1000; // of the picture, when it came
  let tries = 0;
  let word = body.dataset.state || "";
  let over = false; // signed out: nothing more comes

  function open() {
    close();
    if (document.hidden || over) return;
    opened = performance.now();
    source = new EventSource(body.dataset.live + (seq && `&last=${seq}`));
    source.addEventListener("picture", onPicture);
    source.addEventListener("ended", onEnded);
    source.onerror = () => {
      // The browser tries again by itself after a lost connection, but not after a refusal.
      if (source && source.readyState === EventSource.CLOSED) askWhy();
    };
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function onPicture(event) {
    const message = JSON.parse(event.data);
    heard = performance.now();
    tries = 0;
    seq = event.lastEventId;
    age = message.age_s === null ? null : message.age_s * 1000;
    word = message.state;
    if (document.title !== message.title) document.title = message.title;
    app.retry();
    for (const [id, html] of Object.entries(message.regions)) {
      const region = document.getElementById(id);
      if (region) app.patch(region, html);
    }
    look();
  }

  function onEnded() {
    over = true;
    close();
    body.classList.remove("is-live");
    body.classList.add("is-stale");
    freshness.textContent = "Signed out";
    say("You are signed out. ");
    const link = document.createElement("a");
    link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in";
    banner.append(link);
  }

  async function askWhy() {
    close();
    const control = new AbortController();
    try {
      const answer = await fetch(body.dataset.live, { signal: control.signal });
      if (answer.status === 401) onEnded();
    } catch {
      // Not reached: the watchdog goes on trying.
    } finally {
      control.abort();
    }
  }

  function say(text) {
    if (banner.textContent !== text) banner.textContent = text;
    if (banner.hidden === (text === "")) return;
    banner.hidden = text === "";
    app.announce(text || "Live again."); // once: its seconds are not read out
  }

  // What the page says of itself: live with its age, or stale.
  function look() {
    if (over) return;
    const now = performance.now();
    const silent = now - heard > SILENT_MS && now - turned > GRACE_MS;
    const old = age === null ? null : age + (now - heard);
    body.classList.toggle("is-live", !silent && old !== null && old <= STALE_MS);
    body.classList.toggle("is-stale", silent || (old !== null && old > STALE_MS));
    if (old === null) freshness.textContent = "No picture";
    else if (!silent && old <= STALE_MS) freshness.textContent = `Live · ${(old / 1000).toFixed(1)} s`;
    else freshness.textContent = `${app.span(old / 1000)} old`;
    if (!silent) return say("");
    const told = old === null ? `No picture for ${app.span((now - heard) / 1000)}` : `Picture is ${app.span(old / 1000)} old`;
    say(`${told}, reconnecting.${word ? ` Last known: ${word}` : ""}`);
  }

  setInterval(() => {
    if (document.hidden || over) return;
    look();
    const now = performance.now();
    const patience = tries === 0 ? SILENT_MS : RETRY_MS[Math.min(tries, RETRY_MS.length) - 1];
    if (now - heard > SILENT_MS && now - opened > patience) {
      tries += 1;
      open();
    }
  }, 250);

  function turnTo() {
    turned = performance.now();
    open();
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : turnTo()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) turnTo(); });
  open();
})();
