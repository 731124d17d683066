// Run transformers.js in a page in headless Chromium: node in_chromium.mjs NODE_MODULES SPEC ANSWERS
//
// The page and all that it reads come from a server on the loopback interface; the browser can reach nothing else.

import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { browserOf } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const [modules, spec, found] = process.argv.slice(2);
const { bundle, task, inputs, batch } = JSON.parse(readFileSync(spec));
const here = dirname(fileURLToPath(import.meta.url));
const server = await serve({ "/node_modules/": modules, "/consumers/": here, "/bundles/": dirname(bundle) });
const browser = await browserOf(modules);
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(`${server.address}/consumers/page.html`);
  await page.waitForFunction("window.ready");
  const given = { place: "/bundles/", name: basename(bundle), task, inputs, batch };
  const result = await page.evaluate((all) => window.run(all), given);
  const runtime = JSON.parse(readFileSync(join(modules, "onnxruntime-web", "package.json"))).version;
  const versions = {
    "@huggingface/transformers": result.version,
    "onnxruntime-web": runtime,
    chromium: (await browser.version()).replace(/^.*\//, ""),
  };
  writeFileSync(found, JSON.stringify({ versions, answers: result.answers }));
} finally {
  await browser.close();
  server.close();
}
