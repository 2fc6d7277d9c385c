/** The page: a recording or the microphone in, text out. */

import { Recognizer } from "./recognizer.mjs";

const RUNTIME = "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
const { file, microphone, status, text } = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((part) => [part.id, part]),
);
let recognizer;

/** Does one thing at a time and shows what it returns, or why it failed. */
async function act(action) {
  file.disabled = microphone.disabled = true;
  try {
    status.textContent = await action();
  } catch (error) {
    console.error(error);
    status.textContent = error.message;
  }
  file.disabled = microphone.disabled = !recognizer;
}

/** Says in the page's words why something failed. */
const orSay = (promise, words) =>
  promise.catch((cause) => {
    throw new Error(words(cause), { cause });
  });

async function load() {
  const ort = await orSay(
    import(RUNTIME),
    () => "No onnxruntime-web: run npm install in examples/web.",
  );
  // More threads need HTTP headers that a plain server does not send.
  ort.env.wasm.numThreads = 1;
  recognizer = await Recognizer.load(ort, "model");
  return "Ready: choose a recording or use the microphone.";
}

async function read() {
  const recording = file.files[0];
  // It decodes to the model's rate.
  const context = new OfflineAudioContext(1, 1, recognizer.rate);
  const audio = await orSay(
    context.decodeAudioData(await recording.arrayBuffer()),
    () => `${recording.name}: not a recording that this browser reads.`,
  );
  const channels = Array.from({ length: audio.numberOfChannels }, (_, i) =>
    audio.getChannelData(i),
  );
  const samples = channels[0].map(
    (_, i) => channels.reduce((sum, c) => sum + c[i], 0) / channels.length,
  );
  recognizer.reset();
  for (let at = 0; at < samples.length; at += recognizer.chunk) {
    const chunk = samples.subarray(at, at + recognizer.chunk);
    text.textContent = await recognizer.feed(chunk);
    // The browser shows it when nothing else is to be done.
    await new Promise((resolve) => setTimeout(resolve));
  }
  text.textContent = await recognizer.finish();
  return `${recording.name}: ${audio.duration.toFixed(1)} s`;
}

async function listen() {
  if (!navigator.mediaDevices) {
    throw new Error("No microphone: open the page at localhost or by HTTPS.");
  }
  const stream = await orSay(
    navigator.mediaDevices.getUserMedia({ audio: true }),
    (cause) => `No microphone: ${cause.message}`,
  );
  const context = new AudioContext({ sampleRate: recognizer.rate });
  try {
    await context.audioWorklet.addModule("worklet.mjs");
    await hear(context.createMediaStreamSource(stream));
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
    microphone.textContent = "Use the microphone";
    microphone.onclick = () => act(listen);
  }
  text.textContent = await recognizer.finish();
  return "Stopped.";
}

/** Reads a source until the button is pressed again. */
async function hear(source) {
  const recorder = new AudioWorkletNode(source.context, "recorder", {
    channelCount: 1,
    channelCountMode: "explicit",
  });
  recognizer.reset();
  let last = Promise.resolve();
  const stopped = new Promise((stop, fail) => {
    microphone.onclick = stop;
    recorder.port.onmessage = ({ data }) => {
      last = last.then(() => recognizer.feed(data));
      last.then((heard) => (text.textContent = heard)).catch(fail);
    };
  });
  source.connect(recorder);
  microphone.textContent = "Stop";
  microphone.disabled = false;
  status.textContent = "Listening.";
  await stopped;
  recorder.port.onmessage = null;
  await last;
}

file.onclick = () => (file.value = ""); // The same file may be chosen again.
file.onchange = () => act(read);
microphone.onclick = () => act(listen);
act(load);
