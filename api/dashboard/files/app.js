// The frame: which page is shown, the key, and whether the server is there.

import { get, getKey, link, setKey } from "./api.js";
import * as collections from "./collections.js";
import * as console_ from "./console.js";
import { h, refocus } from "./dom.js";
import * as ingest from "./ingest.js";
import * as letters from "./letters.js";
import { forget as forgetSources, live, look } from "./live.js";
import * as overview from "./overview.js";
import * as points from "./points.js";

const pages = { overview, ingest, collections, points, letters, console: console_ };
const main = document.getElementById("main");
const notice = document.getElementById("notice");
const forget = document.getElementById("forget");
const links = new Map(Object.entries(pages).map(([name, page]) => [name, h("a", { href: `#/${name}` }, page.title)]));
document.getElementById("nav").append(...links.values());

let leaving = new AbortController();

let chosen = false; // the page is drawn anew because something was chosen on it

const go = (...names) => { chosen = true; location.hash = `#/${names.map(encodeURIComponent).join("/")}`; };

// show draws the page that the address names. Whatever the one before has begun ends.
function show({ focus = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  let [name, ...names] = ["overview"];
  try {
    [name, ...names] = location.hash.slice(2).split("/").map(decodeURIComponent);
  } catch {
    // A broken address: the first page.
  }
  if (!Object.hasOwn(pages, name)) name = "overview";
  for (const [other, a] of links) {
    if (other !== name) {
      a.removeAttribute("aria-current");
      continue;
    }
    a.setAttribute("aria-current", "page");
    a.scrollIntoView({ block: "nearest", inline: "center" }); // on a narrow screen not all are seen
  }
  document.title = `${pages[name].title} · Freshet`;
  const place = h("div", { class: `page ${name}` });
  main.replaceChildren(place);
  keyButton();
  pages[name].show(place, { leaving: leaving.signal, names: names.filter(Boolean), go, chosen });
  chosen = false;
  if (focus) main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

addEventListener("hashchange", () => show({ focus: !chosen }));
document.getElementById("skip").addEventListener("click", () => main.focus());
forget.addEventListener("click", () => { setKey(""); declined = false; forgetSources(); show(); look(); });

let fading; // of the notice that the server is back

link.addEventListener("away", () => {
  clearTimeout(fading);
  notice.className = "bad";
  notice.textContent = "The server does not answer. What is shown is from before; trying again…";
  document.body.classList.add("away");
});

link.addEventListener("back", () => {
  notice.className = "good";
  notice.textContent = "The server is back.";
  document.body.classList.remove("away");
  fading = setTimeout(() => { notice.className = ""; notice.textContent = ""; }, 4000);
});

// What is live fills itself; a page that failed for want of a server is drawn again. The
// server answers before it is ready, so to be back is not enough.
live.addEventListener("sources", () => { if (main.querySelector("[data-pending]")) show(); });

// One question for the key at a time, however many requests were refused, and none any more
// once it was left without an answer: then there is a button for it.
let asking = false;
let declined = false;

function keyButton() {
  forget.hidden = !getKey() && !declined;
  forget.textContent = getKey() ? "Forget key" : "Enter key";
}

function asked(dialog) {
  dialog.remove();
  asking = false;
  declined = !getKey();
  keyButton();
  refocus(declined ? forget : main);
}

link.addEventListener("locked", (locked) => {
  if (asking || declined) return;
  asking = true;
  const refused = getKey() !== "";
  setKey("");
  const key = h("input", { type: "password", autocomplete: "off", required: true });
  const wrong = h("p", { class: "failure", role: "alert" }, refused ? locked.detail : "");
  const dialog = h("dialog", { close: () => asked(dialog), "aria-labelledby": "sign-in" },
    h("h2", { id: "sign-in" }, "This server asks for an API key"),
    h("form", {
      submit: async (event) => {
        event.preventDefault();
        setKey(key.value.trim());
        try {
          await get("collections");
        } catch (error) {
          if (error.status === 401) setKey("");
          wrong.textContent = error.message;
          key.select();
          return;
        }
        dialog.close();
        forgetSources();
        show();
        look();
      },
    },
      h("label", { class: "field" }, h("span", {}, "API key"), key), wrong,
      h("p", { class: "note" }, "It is kept in this tab until the tab is closed, and sent to this server only."),
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Continue"))));
  document.body.append(dialog);
  dialog.showModal();
  key.focus();
});

show();
look();
