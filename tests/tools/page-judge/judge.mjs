// Opens an HTML report in headless Chromium and says, as JSON, what a person would meet there.
//
//   page-judge CHROMIUM PAGE FOLDER    screenshots go into the folder

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, file, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const address = pathToFileURL(file).href;
// A container's root has no sandbox; what is opened is our own file.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const verdict = { complaints: [], requests: [], violations: [], overflows: [], screenshots: [] };

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => verdict.complaints.push(message.text()));
  page.on("pageerror", (error) => verdict.complaints.push(error.message));
  page.on("dialog", (dialog) => {
    verdict.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => request.url() === address || verdict.requests.push(request.url()));
  await page.goto(address);
  return page;
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    const page = await open({ colorScheme, viewport: { width, height: 900 } });
    const name = `${folder}/${width}-${colorScheme}.png`;
    await page.screenshot({ path: name });
    verdict.screenshots.push(name);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wider > 0) verdict.overflows.push(`${width} px: ${wider} px too wide`);
    // Details are judged open as well; of many rows the first ones are.
    await page.evaluate(() => {
      for (const row of Array.from(document.querySelectorAll("#list tbody tr")).slice(60)) row.remove();
      for (const one of document.querySelectorAll("details")) one.open = true;
    });
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
    for (const { id, nodes } of found.violations) {
      verdict.violations.push(`${colorScheme} ${width} ${id}: ${nodes[0].html}`);
    }
    await page.context().close();
  }
}

// How long it takes from a change of the filter until what it leaves has been painted.
const page = await open({ viewport: { width: 1440, height: 900 } });
verdict.filter = await page.evaluate(async () => {
  const text = document.getElementById("text");
  const rows = Array.from(document.querySelectorAll("#list tbody tr"));
  const shown = () => rows.filter((row) => !row.hidden).length;
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = {};
  const counts = {};
  for (let round = 0; round < 7; round += 1) {
    for (const wanted of ["", "app-19", "drift", "nothing is like this"]) {
      await painted();
      const before = performance.now();
      text.value = wanted;
      text.dispatchEvent(new Event("input", { bubbles: true }));
      await painted();
      (times[wanted] ??= []).push(performance.now() - before);
      counts[wanted] = shown();
    }
  }
  // What else runs on the machine only ever adds to a time, so the least of several is the page's own.
  const least = Object.fromEntries(Object.entries(times).map(([text, all]) => [text, Math.min(...all)]));
  return { rows: rows.length, counts, least };
});

// With the keyboard alone: "/" leads to the filter, a head sorts, Enter opens an item.
await page.evaluate(() => {
  const text = document.getElementById("text");
  text.value = "";
  text.dispatchEvent(new Event("input", { bubbles: true }));
});
await page.keyboard.press("/");
const focused = await page.evaluate(() => document.activeElement.id);
await page.focus("th[data-key=copied] button");
await page.keyboard.press("Enter");
const sorted = await page.evaluate(() =>
  Array.from(document.querySelectorAll("#list tbody tr"), (row) => Number(row.dataset.copied)));
await page.focus("#list summary");
await page.keyboard.press("Enter");
const opened = await page.evaluate(() => document.querySelector("#list details").open);
verdict.keyboard = { focused, opened, sorted: sorted.every((one, at) => at === 0 || sorted[at - 1] >= one) };

for (const name of ["outcome", "kind", "registry"]) {
  const options = await page.locator(`#${name} option`).allTextContents();
  verdict[name] = options.slice(1);
}

// Without JavaScript it can be read, and no filter is offered that would do nothing.
const plain = await open({ javaScriptEnabled: false });
verdict.plain = {
  filter: await plain.locator("#filter").isVisible(),
  title: await plain.locator("h1").textContent(),
};

await browser.close();
console.log(JSON.stringify(verdict));
