// The connect page's own script. Everything works without it but the hand-over to a pop-up's opener.

const text = (element) => element.dataset.text ?? "";

/** Narrows the list of services while the user types. */
function search() {
  const box = document.getElementById("search");
  if (!box) return;
  box.closest(".search").hidden = false;
  const items = [...document.querySelectorAll("#services > li")];
  const none = document.getElementById("none");
  const found = document.getElementById("found");
  const plain = (words) => words.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  box.addEventListener("input", () => {
    const wanted = plain(box.value.trim());
    let count = 0;
    for (const item of items) {
      item.hidden = !plain(item.dataset.name).includes(wanted);
      if (!item.hidden) count += 1;
    }
    none.hidden = count > 0;
    found.textContent = count > 0 ? text(found).replace("{count}", count) : none.textContent;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const shown = items.filter((item) => !item.hidden);
    if (shown.length === 1) shown[0].querySelector("a").click();
  });
}

/** Says that the credential is being tried, and keeps a second press from trying it twice. */
function submit() {
  const form = document.getElementById("fields");
  if (!form) return;
  const button = document.getElementById("submit");
  const progress = document.getElementById("progress");
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-disabled", "true");
    progress.textContent = text(progress);
  });
  // A page that comes back from the browser's memory is not busy.
  window.addEventListener("pageshow", () => {
    button.removeAttribute("aria-disabled");
    progress.textContent = "";
  });
  for (const reveal of form.querySelectorAll(".reveal")) {
    const input = document.getElementById(reveal.getAttribute("aria-controls"));
    const label = reveal.getAttribute("aria-label").split(": ").slice(1).join(": ");
    reveal.hidden = false;
    reveal.addEventListener("click", () => {
      const shown = input.type === "password";
      input.type = shown ? "text" : "password";
      const words = shown ? reveal.dataset.hide : reveal.dataset.show;
      reveal.textContent = words;
      reveal.setAttribute("aria-pressed", String(shown));
      reveal.setAttribute("aria-label", `${words}: ${label}`);
    });
  }
}

/** Hands the result to the page that opened this window, then closes it. */
function ending() {
  const end = document.getElementById("ending");
  if (!end) return;
  const { message, origin, delay } = end.dataset;
  const opener = window.opener;
  if (!opener) return;
  const target = () => {
    try {
      // Our own relay page in a frame: it hands on to the origin that the window was opened for.
      if (opener.location.origin === window.location.origin) return window.location.origin;
    } catch {
      // Another origin's window: the usual case.
    }
    return origin;
  };
  window.addEventListener("message", (event) => {
    if (event.source !== opener || (event.origin !== origin && event.origin !== location.origin)) return;
    if (typeof event.data !== "string" || !event.data.startsWith("kloudless:")) return;
    try {
      if (JSON.parse(event.data.slice("kloudless:".length)).type === "close") window.close();
    } catch {
      // Not a message of ours.
    }
  });
  window.setTimeout(() => {
    opener.postMessage(message, target());
    const words = end.querySelector("[data-closes]");
    if (words) words.textContent = `${words.textContent} ${words.dataset.closes}`;
    window.setTimeout(() => window.close(), 5000);
  }, Number(delay) || 0);
}

/** Copies a token or a code. */
function copy() {
  const button = document.getElementById("copy");
  const value = document.getElementById("value");
  if (!button || !navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(value.value);
    button.textContent = button.dataset.done;
    document.getElementById("copied").textContent = button.dataset.done;
  });
}

search();
submit();
ending();
copy();
