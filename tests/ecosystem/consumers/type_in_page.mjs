// Type into the page of examples/browser in headless Chromium: node type_in_page.mjs NODE_MODULES SPEC FOUND

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { browserOf } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const [modules, spec, found] = process.argv.slice(2);
const { site, texts, pictures } = JSON.parse(spec);
const server = await serve({ "/": site });
const browser = await browserOf(modules);
const asked = [];
try {
  const page = await browser.newPage();
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.setViewport({ width: 900, height: 760, deviceScaleFactor: 2 });
  await page.goto(`${server.address}/index.html`);
  await page.waitForSelector("#text:not([disabled])", { timeout: 120_000 });
  const answers = [];
  const times = [];
  for (const text of texts) {
    await page.$eval("#text", (field) => (field.value = ""));
    await page.type("#text", text); // key by key, faster than the model answers
    await page.waitForFunction((last) => window.answered === last, {}, text);
    answers.push(await page.$$eval("#answers li", (rows) => rows.map((row) => [...row.children].map((one) => one.textContent))));
    times.push(parseFloat(await page.$eval("#time", (one) => one.textContent)));
  }
  if (pictures) await takePictures(page);
  const elsewhere = asked.filter((url) => !url.startsWith(server.address) && !/^(blob|data):/.test(url));
  const milliseconds = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  writeFileSync(found, JSON.stringify({ answers, elsewhere, milliseconds, files: new Set(asked).size }));
} finally {
  await browser.close();
  server.close();
}

async function takePictures(page) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const [name, width, height] of [["wide", 900, 760], ["phone", 390, 780]]) {
      await page.setViewport({ width, height, deviceScaleFactor: 2 });
      await page.screenshot({ path: join(pictures, `${name}-${scheme}.png`) });
    }
  }
}
