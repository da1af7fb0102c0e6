// Niceties only: everything works without this file.
"use strict";

const root = document.documentElement;

// --- colours: the system's, until somebody chooses

const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function kept() {
  try {
    return localStorage.getItem("explorer-theme");
  } catch {
    return null;
  }
}

function show(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const isDark = (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  button.textContent = isDark ? "Light colours" : "Dark colours";
  button.dataset.next = isDark ? "light" : "dark";
}

show(kept());
button.hidden = false;
dark.addEventListener("change", () => show(kept()));
button.addEventListener("click", () => {
  const theme = button.dataset.next;
  try {
    localStorage.setItem("explorer-theme", theme);
  } catch {
    // It lasts as long as the page.
  }
  show(theme);
});

// --- tables: sort and filter without loading the page anew

let asked = 0;

async function swap(url, remember) {
  const number = ++asked;
  let text;
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    text = await answer.text();
  } catch {
    if (number === asked) location.assign(url);
    return;
  }
  if (number !== asked) return;
  const table = document.querySelector("[data-swap]");
  const made = new DOMParser().parseFromString(text, "text/html").querySelector("[data-swap]");
  if (!table || !made) {
    location.assign(url);
    return;
  }
  const typing = document.activeElement?.name === "q" ? document.activeElement : null;
  // The field that somebody types in stays; all around it is replaced.
  const form = table.querySelector("form");
  if (typing && form && made.querySelector("form")) made.querySelector("form").replaceWith(form);
  table.replaceChildren(...made.childNodes);
  if (typing) typing.focus();
  if (remember) history.replaceState(null, "", url);
}

function wanted(form) {
  const given = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...given]) if (!value) given.delete(name);
  const query = given.toString();
  return form.getAttribute("action") + (query ? `?${query}` : "");
}

let later = 0;
addEventListener("input", (event) => {
  const form = event.target.closest?.("[data-swap] form");
  if (!form) return;
  clearTimeout(later);
  later = setTimeout(() => swap(wanted(form), true), event.target.name === "q" ? 200 : 0);
});
addEventListener("submit", (event) => {
  const form = event.target.closest?.("[data-swap] form");
  if (!form) return;
  event.preventDefault();
  clearTimeout(later);
  swap(wanted(form), true);
});
addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-swap] thead a, [data-swap] .pages a");
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  swap(link.getAttribute("href"), true);
});
// Where the sections are moved sideways, the one that is shown is among those that are seen.
const [sections, here] = [document.querySelector(".top nav"), document.querySelector(".top nav [aria-current]")];
if (here) sections.scrollLeft = here.offsetLeft - (sections.clientWidth - here.offsetWidth) / 2;
