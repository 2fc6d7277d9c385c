/** An exported streaming model: samples in, the text so far out. */

/** Thrown with a sentence for the user. */
export class Problem extends Error {}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Problem(
      `No ${url}. Make it with: ` +
        "ligru-export EXPERIMENT --streaming --out examples/web/model",
    );
  }
  return response;
}

/** The fields of a protobuf message (numbers are left out) as bytes. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    if (key % 8 === 2) yield [key >> 3, bytes.subarray(at, (at += value))];
  }
}

/** A model's metadata, field 14 of an ONNX file, which the runtime hides. */
function metadata(model) {
  const text = new TextDecoder();
  const facts = {};
  for (const [field, pair] of fields(model)) {
    if (field !== 14) continue;
    const { 1: key, 2: value = [] } = Object.fromEntries(fields(pair));
    facts[text.decode(key)] = text.decode(value);
  }
  return facts;
}

/** Chunks of samples and a state go in, scores of tokens and the next come out. */
export class Recognizer {
  static async load(ort, folder) {
    const response = await get(`${folder}/model.onnx`);
    const model = new Uint8Array(await response.arrayBuffer());
    const tokens = await (await get(`${folder}/tokens.txt`)).text();
    const facts = metadata(model);
    if (!facts.chunk) {
      throw new Problem(
        `${folder}/model.onnx needs whole recordings. ` +
          "Export a model with --streaming.",
      );
    }
    const session = await ort.InferenceSession.create(model);
    return new Recognizer(ort, session, facts, tokens);
  }

  constructor(ort, session, facts, tokens) {
    this.ort = ort;
    this.session = session;
    this.rate = Number(facts.sample_rate);
    this.chunk = Number(facts.chunk);
    this.blank = Number(facts.blank_id);
    this.tokens = tokens
      .split("\n")
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    // A word's first piece begins with \u2581. Phones have no such mark.
    const pieces = this.tokens.some((token) => token.includes("\u2581"));
    this.between = pieces ? "" : " ";
    this.reset();
  }

  /** Begins another recording. */
  reset() {
    const { shape } = this.session.inputMetadata[1];
    const zeros = new Uint16Array(shape[1]);
    this.state = new this.ort.Tensor("float16", zeros, shape);
    this.waiting = [];
    this.last = this.blank;
    this.pieces = [];
  }

  /** Takes samples, from -1 to 1, and returns the text so far. */
  async feed(samples) {
    for (const sample of samples) {
      const number = Math.round(sample * 32768);
      this.waiting.push(Math.max(-32768, Math.min(number, 32767)));
    }
    while (this.waiting.length >= this.chunk) {
      await this.step(this.waiting.splice(0, this.chunk));
    }
    return this.text();
  }

  /** Ends the recording and returns its text. */
  async finish() {
    // What is shorter than a chunk, even empty, is the last.
    await this.step(this.waiting.splice(0));
    return this.text();
  }

  async step(numbers) {
    const x = new this.ort.Tensor("int32", numbers, [1, numbers.length, 1]);
    const out = await this.session.run({ x, state: this.state });
    this.state = out.state_next;
    const [, frames, size] = out.log_probs.dims;
    for (let t = 0; t < frames; t++) {
      const scores = out.log_probs.data.subarray(t * size, (t + 1) * size);
      const best = scores.indexOf(Math.max(...scores));
      if (best !== this.last && best !== this.blank) {
        this.pieces.push(this.tokens[best]);
      }
      this.last = best;
    }
  }

  text() {
    return this.pieces.join(this.between).replaceAll("\u2581", " ").trim();
  }
}
