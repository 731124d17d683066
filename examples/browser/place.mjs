// Put the page, the libraries and a bundle into one folder, site/, that any web server can serve.
//
//     node place.mjs BUNDLE [NODE_MODULES]

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const SITE = join(HERE, "site");
const PAGE = ["index.html", "app.js", "style.css"];
const LIBRARIES = [
  "@huggingface/transformers/dist/transformers.min.js",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
];
const NOT_READ = new Set(["golden.json", "MODEL_CARD.md"]); // by the page

function fail(message) {
  console.error(message);
  process.exit(2);
}

const [bundle, modules = join(HERE, "node_modules")] = process.argv.slice(2);
if (!bundle) fail("which bundle? node place.mjs ../../models/intents/bundle");
if (!existsSync(join(bundle, "ftool.json"))) fail(`${bundle} is not a bundle: it has no ftool.json`);
const { task } = JSON.parse(readFileSync(join(bundle, "ftool.json")));
if (task !== "text-classification") fail(`${bundle} is for ${task}; this page shows labels of texts`);
if (!existsSync(join(modules, LIBRARIES[0]))) fail("the libraries are missing: npm install --ignore-scripts");

rmSync(SITE, { recursive: true, force: true });
mkdirSync(join(SITE, "lib"), { recursive: true });
for (const file of PAGE) cpSync(join(HERE, file), join(SITE, file));
for (const file of LIBRARIES) cpSync(join(modules, file), join(SITE, "lib", file.split("/").at(-1)));
cpSync(resolve(bundle), join(SITE, "bundle"), {
  recursive: true,
  filter: (file) => !NOT_READ.has(file.split(/[\\/]/).at(-1)),
});
console.log(`wrote ${SITE}`);
