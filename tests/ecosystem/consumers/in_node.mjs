// Run transformers.js in Node: node in_node.mjs NODE_MODULES SPEC ANSWERS

import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";

import { answers } from "./transformers_js.mjs";

const [modules, spec, found] = process.argv.slice(2);
const { bundle, task, inputs, batch } = JSON.parse(readFileSync(spec));
const require = createRequire(join(modules, "package.json"));
const library = await import(pathToFileURL(require.resolve("@huggingface/transformers")));
const result = await answers(library, dirname(bundle) + "/", basename(bundle), task, inputs, batch);
const runtime = JSON.parse(readFileSync(join(modules, "onnxruntime-node", "package.json"))).version;
const versions = {
  "@huggingface/transformers": library.env.version,
  "onnxruntime-node": runtime,
  node: process.versions.node,
};
writeFileSync(found, JSON.stringify({ versions, answers: result }));
