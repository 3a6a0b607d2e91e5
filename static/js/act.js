// Forms that act: one press is sent once, and the button says for how long.
"use strict";

(() => {
  const HELD_MS = 5000; // by then an answer has come, or pressing again is right; a repeat changes nothing

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form.act")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    event.submitter?.setAttribute("aria-disabled", "true");
    setTimeout(() => again(form), HELD_MS);
  });

  function again(form) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll('[aria-disabled="true"]')) button.removeAttribute("aria-disabled");
  }

  // Back in the history shows the page as it was left.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form.act[data-sent]").forEach(again);
  });

  // The button of an editor says for how long: `Apply for 30 min`, `Stage, promote after 10 min`.
  function label(select) {
    const button = select.form?.querySelector("[data-apply-label]");
    if (!button) return;
    const apply = select.selectedOptions[0].dataset.apply;
    const { stage, bake } = select.form.elements;
    const staged = bake?.value ? `Stage, promote after ${bake.value} min` : "Stage";
    button.textContent = button.dataset.applyLabel || (stage?.value === "staged" ? staged : apply);
  }
  for (const select of document.querySelectorAll("select[name=minutes]")) label(select);
  document.addEventListener("input", (event) => {
    if (event.target.matches("[name=minutes], [name=stage], [name=bake]") && event.target.form?.elements.minutes) label(event.target.form.elements.minutes);
  });
  // An editor opens with its label, and ready to type.
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches("details.edit") || !event.target.open) return;
    const select = event.target.querySelector("select[name=minutes]");
    if (select) label(select);
    // The event comes after the press: who types already, in another field, keeps typing there.
    const form = event.target.querySelector("form");
    if (!form?.contains(document.activeElement)) form?.querySelector("[name=value]")?.focus();
  }, true);

  // A time typed in UTC, in the viewer's zone under its field.
  const here = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" });
  for (const hint of document.querySelectorAll("[data-here]")) {
    const field = document.getElementById(hint.dataset.here);
    const tell = () => {
      const at = new Date(`${field.value}Z`);
      hint.textContent = Number.isNaN(at.getTime()) ? "" : here.format(at);
    };
    field.addEventListener("input", tell);
    tell();
  }

  // A key is copied whole; browsers allow that over TLS and on this machine.
  if (navigator.clipboard) {
    document.documentElement.classList.add("can-copy");
    document.addEventListener("click", async (event) => {
      const button = event.target.closest("[data-copy]");
      if (!button) return;
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed here: select it";
      }
    });
  }
})();
