// What pages gain from JavaScript: times in the reader's zone, copying, menus that close, forms sent once.
// Everything works without it. No token is kept anywhere: what is shown once is gone when the page is.
"use strict";
(() => {
  const language = document.documentElement.lang;
  const short = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long" });

  function tellTimes() {
    for (const time of document.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (time.hasAttribute("data-local")) {
        const text = (time.dataset.local === "day" ? day : short).format(at);
        if (time.textContent !== text) time.textContent = text;
      }
      const title = exact.format(at);
      if (time.title !== title) time.title = title;
    }
  }
  tellTimes();
  new MutationObserver(tellTimes).observe(document.body, { childList: true, subtree: true, characterData: true });

  // Menus: one open at a time; a click elsewhere or Escape closes it.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A page that keeps itself up to date says so when it cannot.
  const stale = document.querySelector("[data-stale]");
  if (stale) {
    document.addEventListener("htmx:error", () => { stale.hidden = false; });
    document.addEventListener("htmx:after:request", (event) => { stale.hidden = event.detail.ctx.response.status < 400; });
  }

  // A form that makes something is sent once, however often it is clicked.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.hasAttribute("data-once")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });

  // Only what belongs to the choice is shown.
  for (const form of document.querySelectorAll("[data-plan]")) {
    const show = () => {
      const chosen = form.querySelector("input[name=plan]:checked");
      for (const more of form.querySelectorAll("[data-for]")) {
        more.hidden = !chosen || more.dataset.for !== chosen.value;
      }
    };
    form.addEventListener("change", show);
    show();
  }

  // The token.
  const secret = document.querySelector("[data-secret]");
  if (secret) {
    const button = document.querySelector("[data-copy]");
    let copied = false;
    requestAnimationFrame(() => secret.select()); // after the browser has given it the focus
    button.hidden = false;
    const done = () => {
      copied = true;
      button.textContent = button.dataset.copied;
      document.querySelector("[data-uncopied]").hidden = true;
      document.querySelector("[data-when-copied]").hidden = false;
    };
    button.addEventListener("click", async () => {
      secret.select();
      try {
        await navigator.clipboard.writeText(secret.value);
        done();
      } catch {
        if (document.execCommand("copy")) done();
      }
    });
    secret.addEventListener("copy", done);
    window.addEventListener("beforeunload", (event) => {
      if (!copied) event.preventDefault();
    });
    // Nothing is left for the browser's memory of pages.
    window.addEventListener("pagehide", () => {
      secret.value = "";
      secret.removeAttribute("value");
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) location.replace(location.pathname.split("/").slice(0, 3).join("/"));
    });
  }

})();
