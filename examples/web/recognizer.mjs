/** An exported streaming model: samples in, the text so far out. */

async function get(url) {
  const response = await fetch(url);
  if (response.ok) return response;
  throw new Error(
    `No ${url}. Make it with: ` +
      "ligru-export EXPERIMENT --streaming --out examples/web/model",
  );
}

/** The fields of a protobuf message, but for numbers: [field, bytes]. */
function* fields(message) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      value += (message[at] % 128) * unit;
      if (message[at++] < 128) return value;
    }
  };
  while (at < message.length) {
    const [key, value] = [number(), number()];
    if (key % 8 === 2) yield [key >> 3, message.subarray(at, (at += value))];
  }
}

/** A model's metadata, field 14 of its file, which the runtime hides. */
function metadata(model) {
  const words = (bytes) => new TextDecoder().decode(bytes);
  const pairs = [...fields(model)].filter(([field]) => field === 14);
  return Object.fromEntries(
    pairs.map(([, pair]) => [...fields(pair)].map(([, bytes]) => words(bytes))),
  );
}

/** Reads one recording after another; a call must wait for the one before. */
export class Recognizer {
  static async load(ort, folder) {
    const file = await (await get(`${folder}/model.onnx`)).arrayBuffer();
    const tokens = await (await get(`${folder}/tokens.txt`)).text();
    const facts = metadata(new Uint8Array(file));
    if (!facts.chunk) {
      throw new Error(
        `${folder}/model.onnx needs whole recordings: ` +
          "export one with --streaming.",
      );
    }
    const made = new Recognizer();
    made.ort = ort;
    made.session = await ort.InferenceSession.create(file);
    made.rate = Number(facts.sample_rate);
    made.chunk = Number(facts.chunk);
    made.size = Number(facts.state_dim);
    made.blank = Number(facts.blank_id);
    made.special = facts.special_ids.split(" ").map(Number);
    const lines = tokens.split("\n");
    made.tokens = lines.map((line) => line.slice(0, line.lastIndexOf(" ")));
    // A word's first piece begins with \u2581. Phones have no such mark.
    made.between = tokens.includes("\u2581") ? "" : " ";
    return made;
  }

  /** Begins a recording. */
  reset() {
    const zeros = new Uint16Array(this.size);
    this.state = new this.ort.Tensor("float16", zeros, [1, this.size]);
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
    return this.pieces.join(this.between).replaceAll("\u2581", " ").trim();
  }

  /** Ends the recording and returns its text. */
  async finish() {
    // What is shorter than a chunk, even empty, is the last.
    await this.step(this.waiting.splice(0));
    return this.feed([]);
  }

  async step(numbers) {
    const x = new this.ort.Tensor("int32", numbers, [1, numbers.length, 1]);
    const out = await this.session.run({ x, state: this.state });
    this.state = out.state_next;
    const [, frames, size] = out.log_probs.dims;
    for (let t = 0; t < frames; t++) {
      const scores = out.log_probs.data.subarray(t * size, (t + 1) * size);
      const best = scores.indexOf(Math.max(...scores));
      if (best !== this.last && !this.special.includes(best)) {
        this.pieces.push(this.tokens[best]);
      }
      this.last = best;
    }
  }
}
