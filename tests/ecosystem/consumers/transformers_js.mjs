// Bundles in transformers.js, with default arguments. Runs in Node, and unchanged in a page in Chromium.

const NEW = 16; // tokens of an answer

// Return the answers of the bundle `name`, a folder in `place`, to `inputs`, which run in batches of `batch`.
export async function answers(library, place, name, task, inputs, batch) {
  const { env } = library;
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = place;
  return RUNS[task](library, name, inputs, batch);
}

const RUNS = {
  "text-classification": async ({ pipeline }, name, inputs, batch) => {
    const model = await pipeline("text-classification", name);
    const rows = await batched(inputs, batch, (texts) => model(texts, { top_k: null }));
    return rows.map((row) => Object.fromEntries(row.map((one) => [one.label, one.score])));
  },

  // Tags of tokens, without those of words that are no entity, as pairs of a tag and a probability.
  "token-classification": async ({ pipeline }, name, inputs) => {
    const model = await pipeline("token-classification", name);
    const rows = [];
    for (const text of inputs) {
      const found = await model(text);
      rows.push(found.map((one) => [one.entity, one.score]));
    }
    return rows;
  },

  // Start and end logits of tokens: the pipeline's own search for the best span differs from others'.
  "question-answering": async ({ AutoTokenizer, AutoModelForQuestionAnswering }, name, inputs) => {
    const tokenizer = await AutoTokenizer.from_pretrained(name);
    const model = await AutoModelForQuestionAnswering.from_pretrained(name);
    const rows = [];
    for (const { question, context } of inputs) {
      const found = await model(tokenizer(question, { text_pair: context }));
      rows.push([found.start_logits.tolist()[0], found.end_logits.tolist()[0]]);
    }
    return rows;
  },

  "feature-extraction": async ({ pipeline }, name, inputs, batch) => {
    const model = await pipeline("feature-extraction", name);
    return batched(inputs, batch, async (texts) => {
      const vectors = await model(texts, { pooling: "mean", normalize: true });
      return vectors.tolist();
    });
  },

  "text-generation": async ({ AutoTokenizer, AutoModelForCausalLM }, name, inputs, batch) => {
    const tokenizer = await AutoTokenizer.from_pretrained(name);
    tokenizer.padding_side = "left";
    const model = await AutoModelForCausalLM.from_pretrained(name);
    return batched(inputs, batch, (texts) => generated(tokenizer, model, texts, true));
  },

  translation: async ({ AutoTokenizer, AutoModelForSeq2SeqLM }, name, inputs, batch) => {
    const tokenizer = await AutoTokenizer.from_pretrained(name);
    const model = await AutoModelForSeq2SeqLM.from_pretrained(name);
    return batched(inputs, batch, (texts) => generated(tokenizer, model, texts, false));
  },
};

// Return the token ids of greedy answers.
async function generated(tokenizer, model, texts, prompts) {
  const encoded = tokenizer(texts, { padding: true });
  delete encoded.token_type_ids;
  const length = { min_new_tokens: NEW, max_new_tokens: NEW };
  const ids = await model.generate({ ...encoded, ...length, do_sample: false, num_beams: 1 });
  const first = prompts ? encoded.input_ids.dims[1] : 1;
  return ids.tolist().map((row) => row.slice(first).map(Number));
}

async function batched(inputs, batch, run) {
  const rows = [];
  for (let start = 0; start < inputs.length; start += batch) {
    rows.push(...(await run(inputs.slice(start, start + batch))));
  }
  return rows;
}
