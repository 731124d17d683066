// Classify texts with a bundle, in Node, with onnxruntime and tokenizers alone: what any other language has to do too.
//
//     node classify.mjs BUNDLE TEXT...

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Tokenizer } from "@huggingface/tokenizers";
import ort from "onnxruntime-node";

const [bundle, ...texts] = process.argv.slice(2);
if (!bundle || !texts.length) {
  console.error("node classify.mjs BUNDLE TEXT...");
  process.exit(2);
}
const read = (name) => JSON.parse(readFileSync(join(bundle, name)));
const manifest = read("ftool.json");
if (manifest.task !== "text-classification" || manifest.pairs || manifest.regression) {
  console.error(`${bundle} does not give single texts labels`);
  process.exit(2);
}
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
const session = await ort.InferenceSession.create(join(bundle, "onnx", "model.onnx"));

for (const text of texts) {
  const scores = manifest.multi_label ? sigmoid(await logits(text)) : softmax(await logits(text));
  const best = scores.indexOf(Math.max(...scores));
  console.log(JSON.stringify({ text, label: manifest.labels[best], score: scores[best] }));
}

// Return the logits of one text: a row without padding, so that every precision gives its own answer.
async function logits(text) {
  const encoded = tokenizer.encode(manifest.input.prefix + text, { return_token_type_ids: true });
  const longest = manifest.input.max_length;
  if (encoded.ids.length > longest) throw new Error(`${encoded.ids.length} tokens; the model reads ${longest}`);
  const columns = {
    input_ids: encoded.ids,
    attention_mask: encoded.attention_mask,
    token_type_ids: encoded.token_type_ids,
  };
  const feeds = {};
  for (const name of manifest.input.names) {
    const values = BigInt64Array.from(columns[name], BigInt);
    feeds[name] = new ort.Tensor("int64", values, [1, values.length]);
  }
  const found = await session.run(feeds);
  return Array.from(found[manifest.output].data);
}

function softmax(values) {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function sigmoid(values) {
  return values.map((value) => 1 / (1 + Math.exp(-value)));
}
