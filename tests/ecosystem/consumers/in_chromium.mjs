// Run transformers.js in a page in headless Chromium: node in_chromium.mjs NODE_MODULES SPEC ANSWERS
//
// The page and all that it reads come from a server on the loopback interface; the browser can reach nothing else.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { serve } from "./serve.mjs";

const [modules, spec, found] = process.argv.slice(2);
const { bundle, task, inputs, batch } = JSON.parse(readFileSync(spec));
const require = createRequire(join(modules, "package.json"));
const { default: puppeteer } = await import(pathToFileURL(require.resolve("puppeteer-core")));
const here = dirname(fileURLToPath(import.meta.url));
const server = await serve({ "/node_modules/": modules, "/consumers/": here, "/bundles/": dirname(bundle) });
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=127.0.0.1"],
  protocolTimeout: 600_000,
});
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
