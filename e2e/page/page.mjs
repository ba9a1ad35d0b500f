// The page as people use it, in Chromium.
//
//     node page.mjs, with the server in FRESHET_URL, one that has nothing in EMPTY_URL and
//     the stage in STAGE_URL;
//     pictures go to the folder SCREENSHOTS, if there is one

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { join } from "node:path";

const { chromium } = await import(process.env.PLAYWRIGHT);
const url = process.env.FRESHET_URL;
const pictures = process.env.SCREENSHOTS;
const odd = "it's &amp; more";
const hostile = '"><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>';

const browser = await chromium.launch({ executablePath: `/usr/bin/${process.env.CHROMIUM}`, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light", deviceScaleFactor: 1 });
const page = await context.newPage();
page.setDefaultTimeout(60_000);

// What the page must never do, whatever else happens.
const faults = [];
let serverIsThere = true;
page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on("console", (message) => {
  // Chromium reports answers such as 401, and connections that fail, itself.
  if (message.type() === "error" && !/Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
});
page.on("request", (request) => { if (![url, process.env.EMPTY_URL].some((one) => request.url().startsWith(`${one}/`))) faults.push(`a request to ${request.url()}`); });
page.on("requestfailed", (request) => { if (serverIsThere && request.failure().errorText !== "net::ERR_ABORTED") faults.push(`failed: ${request.url()} ${request.failure().errorText}`); });

async function until(what, check) {
  let last;
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((go) => setTimeout(go, 50));
  }
  await page.screenshot({ path: join(process.env.TMPDIR ?? "/tmp", "page-failed.png") });
  throw new Error(`not within 60 s: ${what} (${last}); the page says:\n${await page.locator("body").innerText()}`);
}

const command = async (what) => {
  const answer = await fetch(`${process.env.STAGE_URL}/${what}`, { method: "POST" });
  assert.equal(answer.status, 200, `${what}: ${await answer.text()}`);
};
const figure = async (name) => (await page.locator(".tiles > div", { has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) }).first().locator("dd").innerText()).replaceAll(",", "");
const to = async (hash) => { await page.evaluate((h) => { location.hash = h; }, hash); };
const focused = () => page.evaluate(() => {
  const at = document.activeElement;
  return at === document.body ? "nothing" : at.getAttribute("aria-label") ?? at.closest(".field")?.querySelector("span").textContent ?? (at.textContent || at.id);
});
// press follows a control by keyboard.
const press = async (control, key = "Enter") => { await control.focus(); await page.keyboard.press(key); };
const step = async (name, run) => {
  const began = Date.now();
  await run();
  console.log(`${name}: ${Date.now() - began} ms`);
};

// contrast of the texts that are seen, in WCAG's terms: 4.5 is what small ones need.
const faint = () => page.evaluate(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!own && !element.placeholder || !element.checkVisibility() || element.closest(".unseen, noscript, .skip, datalist, option, :disabled")) continue;
    const style = getComputedStyle(element);
    for (let e = element; e; e = e.parentElement) if (getComputedStyle(e).opacity !== "1") found.push(`${element.tagName} "${element.textContent.slice(0, 30)}" lets through what is behind it`);
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const [ink, ground] = [over([...behind, element instanceof SVGElement ? style.fill : own ? style.color : getComputedStyle(element, "::placeholder").color]), over(behind)];
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName}.${element.getAttribute("class")} "${element.textContent.slice(0, 30)}": ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
});

// small are the targets that a finger would miss, and a place in the navigation that is out of
// sight. Links amid a text are as high as its lines.
const small = () => page.evaluate(() => {
  const found = [];
  for (const element of document.querySelectorAll("a, button, select, input, textarea, summary")) {
    const { width, height, left, right } = element.getBoundingClientRect();
    if (!element.checkVisibility() || element.closest(".skip, .empty")) continue;
    if (width < 40 || height < 40) found.push(`${element.tagName} "${element.textContent.slice(0, 30)}" is ${Math.round(width)} × ${Math.round(height)}`);
    if (element.ariaCurrent && (left < 0 || right > innerWidth)) found.push(`${element.textContent}, the page that is shown, is out of sight in the navigation`);
  }
  return found;
});

const everyPage = ["overview", "ingest", "collections", "points/glosses", "letters/orders%2Forders", "console"];

async function signIn(key) {
  await page.getByLabel("API key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Continue" }).click();
}

await step("a server that has nothing", async () => {
  for (const [name, says] of [
    ["overview", "There is no collection yet."], ["overview", "No source feeds a collection."], ["ingest", "No source feeds a collection."],
    ["collections", "There is no collection yet."], ["points", "There is no collection yet."], ["points/none", "There is no collection yet."],
    ["letters", "nothing can have failed"], ["nonsense", "There is no collection yet."], ["points/%E0", "There is no collection yet."],
  ]) {
    await page.goto(`${process.env.EMPTY_URL}/dashboard#/${name}`);
    await page.locator("main").getByText(says).waitFor();
  }
  assert.equal(await page.getByRole("button", { name: "Forget key" }).count(), 0);
});

await step("the key is asked for, and kept in this tab only", async () => {
  await page.goto(`${url}/dashboard/`); // the slash is no part of the address
  assert.equal(new URL(page.url()).pathname, "/dashboard");
  await page.locator("dialog").waitFor();
  await page.keyboard.press("Escape");
  await until("the focus is where a key can be entered", async () => (await focused()) === "Enter key");
  await page.getByText("The server asks for a key.").waitFor();
  // What is live is asked for all the time, and refused: the question does not come back.
  await page.waitForResponse((answer) => answer.url().endsWith("/sources") && answer.status() === 401);
  assert.equal(await page.locator("dialog").count(), 0);
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor();
  await signIn("wrong");
  await page.getByText("The key is not accepted.").waitFor();
  assert.equal(await focused(), "API key");
  await signIn("the-key");
  await page.locator("dialog").waitFor({ state: "detached" });
  assert.notEqual(await focused(), "nothing");
  assert.deepEqual(await page.evaluate(() => [Object.values({ ...sessionStorage }), { ...localStorage }, document.cookie]), [["the-key"], {}, ""]);
});

await step("overview", async () => {
  await page.getByText("ready", { exact: true }).waitFor();
  await until("points are counted", async () => Number(await figure("Points")) > 100);
  assert.match(await figure("Memory"), /^[\d.]+ [kMG]B$/);
  assert.match(await figure("On disk"), /^[\d.]+ [kMG]?B$/);
  await page.getByRole("link", { name: "glosses" }).first().waitFor();
  assert.match(await page.locator(".note", { hasText: "speaks the API of" }).innerText(), /Freshet \S+ \(\w+\), which speaks the API of \d/);
});

await step("ingest, live, paused and resumed", async () => {
  await page.getByRole("link", { name: "Ingest" }).click();
  const card = page.getByRole("region", { name: "Source glosses" });
  await card.waitFor();
  assert.equal(await card.locator("tbody tr").count(), 3);
  const lines = () => card.locator(".chart path.line").evaluateAll((paths) => paths.map((p) => p.getAttribute("d").length));
  await until("four lines are drawn", async () => { const l = await lines(); return l.length === 4 && l.every((n) => n > 20); });
  await until("records are applied", async () => /^[1-9]/.test(await card.locator(".legend dd").nth(2).innerText()));
  await press(card.getByRole("button", { name: "Pause" }));
  await card.locator(".badge.paused").first().waitFor();
  await until("the focus is on what can be done next", async () => (await focused()) === "Resume");
  await until("records wait", async () => Number((await card.locator("tbody tr").first().locator("td[data-title=Lag]").innerText()).replaceAll(",", "")) > 0);
  await card.getByRole("button", { name: "Resume" }).click();
  await card.locator(".badge.running").first().waitFor();
  await command("model?n=-1");
  await card.getByText(/503.* – failing since \d+:\d\d/).waitFor();
  await command("model?n=200");
  await until("the fault is forgotten", async () => (await card.getByText("failing since").count()) === 0);
  // By keyboard: an earlier moment is read out.
  await card.locator(".chart").focus();
  await page.keyboard.press("ArrowLeft");
  await until("an earlier moment is shown", async () => /ago$/.test(await card.locator(".when").innerText()));
  assert.match(await card.locator(".chart").getAttribute("aria-label"), /ago: P99 of batches \d.*batch limit \d/);
});

await step("points: browsed, filtered, compared, searched by text", async () => {
  await to("#/points/glosses");
  const items = page.locator(".points > li");
  await until("a page of points", async () => (await items.count()) === 20);
  await press(page.getByRole("button", { name: "More" }));
  await until("two pages of points", async () => (await items.count()) === 40);
  assert.equal(await focused(), "More");
  await page.getByRole("button", { name: "Add condition" }).click();
  await page.getByLabel("Member").fill("section");
  await page.getByLabel("Value").fill("noun.location");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.getByText("points that match").waitFor();
  for (const text of await items.locator("summary").allInnerTexts()) assert.match(text, /section: noun\.location/);
  await press(page.getByRole("button", { name: "Remove condition" }));
  assert.equal(await focused(), "Add condition");
  await until("all points again", async () => (await items.count()) === 20);
  const first = await items.first().locator(".id").innerText();
  await press(page.getByRole("button", { name: `Find similar to ${first}` }));
  await page.getByText(`nearest to ${first}`).waitFor();
  await until("the focus is on what was found", async () => (await focused()).endsWith(`nearest to ${first}`));
  assert.equal(await items.filter({ has: page.getByText(first, { exact: true }) }).count(), 0);
  await page.getByRole("button", { name: "Back to all points" }).click();
  // Points come in meanwhile: another one may be the first.
  await until("all points once more", async () => (await page.getByText("in the order of their ids").count()) === 1 && (await items.count()) === 20);
  const now = await items.first().locator(".id").innerText();
  const text = (await items.first().locator("pre").textContent()).match(/"text": "((?:[^"\\]|\\.)*)"/)[1];
  await page.getByLabel("Search by text").fill(JSON.parse(`"${text}"`));
  await page.getByRole("button", { name: "Search" }).click();
  await until("the text finds its point", async () => (await page.locator(".headline [role=status]").innerText()).includes("nearest to “") && (await items.first().locator(".id").innerText()) === now);
  await items.first().locator("summary").click();
  await items.first().getByText("384 numbers").waitFor();
});

await step("hostile data stay texts", async () => {
  await to(`#/points/${encodeURIComponent(odd)}`);
  await page.getByText(hostile, { exact: true }).first().waitFor();
  await page.getByText("18446744073709551615", { exact: true }).waitFor(); // more than a double holds
  for (const summary of await page.locator(".points summary").all()) await summary.click();
  // Each is asked for by its id, which may look like a path, a query or nothing at all.
  await until("all vectors are shown", async () => (await page.locator(".points").getByText("a & b: [").count()) === 10);
  assert.equal(await page.locator(".points .failure").count(), 0);
  for (const id of [".", "..", "%2e%2e", "a/../b?c=d#e", '" two  spaces "', '"a\\u202eb\\n"', "👩‍🚀 ' \""]) {
    assert.ok((await page.locator(".points .id").allTextContents()).includes(id), id);
  }
  await page.getByRole("button", { name: /^Find similar to longlong/ }).click();
  await page.getByText(`nearest to ${"long".repeat(20)}…`).waitFor();
  await page.getByRole("button", { name: "Find similar to 18446744073709551615" }).click();
  await page.getByText("nearest to 18446744073709551615").waitFor();
  // The one model for vectors of this dimension is away.
  await page.getByLabel("Search by text").fill("anything");
  await page.keyboard.press("Enter");
  await page.getByText('embedding model "away": the endpoint cannot be reached').waitFor();
  await page.getByRole("button", { name: "Back to all points" }).click();
  await page.getByText("points in the order of their ids").waitFor();
  // A choice by keyboard keeps the focus, so that one can go on choosing.
  await press(page.getByLabel("Collection"), "End");
  await until("another collection is shown", async () => page.url().endsWith("#/points/orders"));
  await until("the focus is on the choice", async () => (await focused()) === "Collection");
  await to("#/collections");
  await page.getByText("<b onmouseover=window.hacked=3>").waitFor();
  await page.getByText("a & b: 2, Dot").waitFor();
  await to("#/overview");
  await page.getByRole("link", { name: odd }).waitFor();
});

await step("dead letters, mended in the console and tried again", async () => {
  await to("#/letters/orders%2Forders");
  const items = page.locator(".points > li");
  await until("all letters", async () => (await items.count()) === 4);
  await items.getByText("no_id").first().waitFor();
  for (const summary of await items.locator("summary").all()) await summary.click();
  await page.getByText("base64:").waitFor();
  await page.getByLabel("Reason").focus();
  await page.getByLabel("Reason").selectOption("no_id");
  await until("letters without an id", async () => (await items.count()) === 2);
  assert.equal(await focused(), "Reason");
  await page.getByRole("button", { name: "Try all again" }).click();
  await page.getByText("2 tried: 0 can be applied").waitFor();
  await page.getByRole("link", { name: "Console" }).click();
  await page.getByLabel("Method").selectOption("PATCH");
  await page.getByLabel("Path").fill("/collections/orders/sources/orders");
  await page.getByLabel(/^Body/).fill('{"id": "value.number"}');
  await page.keyboard.press("Control+Enter");
  await page.locator("[role=status] .badge.good").waitFor();
  assert.match(await page.locator(".answer").innerText(), /"id": "value\.number"/);
  await to("#/letters/orders%2Forders");
  await until("all letters", async () => (await items.count()) === 4);
  await page.getByRole("button", { name: "Try all again" }).click();
  await page.getByText("4 tried: 2 can be applied").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  assert.equal(await items.count(), 4); // nothing was done
  assert.equal(await focused(), "Try all again");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Apply 2" }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByText("2 applied").waitFor();
  await until("two letters are left", async () => (await items.count()) === 2);
  assert.notEqual(await focused(), "nothing");
  await to("#/letters/later%2Flater");
  await page.getByText("nothing can have failed").waitFor();
  await to("#/points/orders");
  await page.getByText("a-17", { exact: true }).waitFor();
});

await step("the console sends nothing elsewhere", async () => {
  await to("#/console");
  await page.getByLabel("Method").selectOption("GET");
  for (const path of ["//example.com/x", "https://example.com/x"]) {
    await page.getByLabel("Path").fill(path);
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("[role=status] .badge.bad", { hasText: /40[14]/ }).waitFor();
    assert.equal(await focused(), "Send");
  }
  await page.getByLabel("Path").fill("/readyz");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("all shards are ready").waitFor();
});

await step("a key that may only read", async () => {
  await page.getByRole("button", { name: "Forget key" }).click();
  await signIn("reader");
  await page.locator("dialog").waitFor({ state: "detached" });
  await to("#/ingest");
  await page.getByRole("region", { name: "Source glosses" }).getByRole("button", { name: "Pause" }).click();
  await page.getByText("Forbidden: the API key allows to read only").waitFor();
});

await step("tokens: expired, of another key, for one collection", async () => {
  const token = (claims, key = "the-key") => {
    const signed = [{ alg: "HS256", typ: "JWT" }, claims].map((o) => Buffer.from(JSON.stringify(o)).toString("base64url")).join(".");
    return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
  };
  await to("#/overview");
  await page.getByRole("button", { name: "Forget key" }).click();
  await signIn(token({ exp: 1 }));
  await page.getByText("The token has expired.").waitFor();
  await signIn(token({}, "another"));
  await page.getByText("The key is not accepted.").waitFor();
  await signIn(token({ access: [{ collection: "orders", access: "r" }] }));
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.getByText("for keys that may read everything").waitFor();
  await page.locator("main").getByRole("link", { name: "orders" }).first().waitFor();
  await page.getByText("ready", { exact: true }).waitFor();
  await until("nothing is left of what another key saw", async () => (await page.locator("main").getByRole("link", { name: "glosses" }).count()) === 0);
  await page.getByRole("button", { name: "Forget key" }).click();
  await signIn("reader");
  await page.locator("dialog").waitFor({ state: "detached" });
});

await step("the server goes away and comes back", async () => {
  await to("#/overview");
  serverIsThere = false;
  await command("kill");
  await page.getByText("The server does not answer.").waitFor();
  assert.deepEqual(await faint(), []);
  await to("#/collections"); // while it is away
  await page.locator(".failure", { hasText: "The server does not answer." }).waitFor();
  const started = command("start"); // which waits until it is ready; the page need not
  await page.getByText("The server is back.").waitFor();
  await started;
  serverIsThere = true;
  await page.getByRole("link", { name: "glosses" }).waitFor();
});

await step("by keyboard alone", async () => {
  await page.reload();
  await page.getByRole("heading", { level: 1 }).waitFor();
  const stops = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press("Tab");
    stops.push(await focused());
  }
  assert.deepEqual(stops, ["Skip to content", "Freshet", "Overview", "Ingest", "Collections", "Points", "Dead letters", "Console"]);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Console" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  assert.equal(await page.locator("nav [aria-current=page]").innerText(), "Console");
  // Wherever the focus is, it is seen, and nothing lies over it.
  for (const name of everyPage) {
    await to(`#/${name}`);
    await page.locator(`.page.${name.split("/")[0]}`).waitFor();
    for (let i = 0; i < 25; i++) {
      await page.keyboard.press("Tab");
      const seen = await page.evaluate(() => {
        const at = document.activeElement;
        if (at === document.body || at.classList.contains("skip")) return "";
        const box = at.getBoundingClientRect();
        if (getComputedStyle(at).outlineStyle === "none") return `${at.outerHTML}: nothing shows the focus`;
        const frame = document.querySelector("header").getBoundingClientRect();
        if (box.bottom < frame.bottom && !at.closest("header") || box.top > innerHeight) return `${at.outerHTML} is out of view`;
        return "";
      });
      assert.equal(seen, "");
    }
  }
});

await step("on a phone, in dark and light", async () => {
  const faints = [];
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 360]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 780 });
    for (const name of everyPage) {
      await to(`#/${name}`);
      await page.locator(`.page.${name.split("/")[0]}`).waitFor();
      await page.waitForLoadState("networkidle").catch(() => {});
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels wider than ${width}`);
      for (const text of await faint()) faints.push(`${name} in ${colorScheme}: ${text}`);
      if (width < 400) for (const text of await small()) faints.push(`${name}: ${text}`);
    }
  }
  assert.deepEqual(faints, []);
});

assert.equal(await page.evaluate(() => window.hacked), undefined);
assert.deepEqual(faults, []);

if (pictures) await takePictures();
await browser.close();

// takePictures shows a source whose model becomes slow and recovers.
async function takePictures() {
  const wait = (s) => new Promise((go) => setTimeout(go, s * 1000));
  const take = (name, options = {}) => page.screenshot({ path: join(pictures, `${name}.png`), ...options });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1120, height: 760 });
  await page.evaluate(() => sessionStorage.setItem("freshet-api-key", "the-key"));
  await page.reload();
  await to("#/ingest");
  await command("rate?n=600");
  await wait(40);
  await command("model?n=2500");
  await wait(35);
  await command("model?n=200");
  await wait(45);
  await take("ingest");
  await to("#/overview");
  await wait(5);
  await take("overview");
  await page.emulateMedia({ colorScheme: "dark" });
  await to("#/points/glosses");
  await page.getByLabel("Search by text").fill("forget to do something");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("nearest to").waitFor();
  await take("points");
  await page.setViewportSize({ width: 390, height: 780 });
  await to("#/ingest");
  await wait(3);
  await take("phone");
}
