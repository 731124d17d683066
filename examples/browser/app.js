// Classify text while the user types, with the bundle beside the page and nothing from the network.

import { env, pipeline } from "./lib/transformers.min.js";

const SHOWN = 3; // labels
const SURE = 0.5; // the probability from which the page commits itself; choose it on your validation texts

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "./";
env.useBrowserCache = false; // the HTTP cache notices a new bundle, the library's own does not
env.backends.onnx.wasm.wasmPaths = new URL("lib/", import.meta.url).href;

const text = document.querySelector("#text");
const answers = document.querySelector("#answers");
const status = document.querySelector("#status");
const time = document.querySelector("#time");

let classify;
let running = false;

async function start() {
  const begun = performance.now();
  classify = await pipeline("text-classification", "bundle");
  status.textContent = `The model is ready (${((performance.now() - begun) / 1000).toFixed(1)} s).`;
  text.disabled = false;
  text.focus();
  await answer();
}

// Answer the newest text. Texts that were overtaken while the model ran are never answered.
async function answer() {
  if (!classify || running) return;
  running = true;
  for (let asked = null; asked !== text.value; ) {
    asked = text.value;
    if (!asked.trim()) {
      answers.replaceChildren();
      time.textContent = "";
      continue;
    }
    const begun = performance.now();
    const found = await classify(asked, { top_k: SHOWN });
    show(found, performance.now() - begun);
    window.answered = asked; // for tests: the text whose answer is shown
  }
  running = false;
}

function show(found, milliseconds) {
  answers.replaceChildren(...found.map(line));
  answers.classList.toggle("unsure", found[0].score < SURE);
  status.textContent = found[0].score < SURE ? "Not sure yet." : "Answered on this device.";
  time.textContent = `${milliseconds.toFixed(1)} ms`;
}

function line({ label, score }) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const share = document.createElement("output");
  name.textContent = label.replaceAll("_", " ");
  share.textContent = `${Math.round(100 * score)}%`;
  item.style.setProperty("--share", score);
  item.append(name, share);
  return item;
}

text.addEventListener("input", answer);
for (const button of document.querySelectorAll("#examples button")) {
  button.addEventListener("click", () => {
    text.value = button.textContent;
    text.focus();
    answer();
  });
}
start().catch((error) => {
  status.textContent = `The model can't be loaded: ${error.message}`;
});
