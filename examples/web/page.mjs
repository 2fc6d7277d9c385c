/** The page: a file or the microphone in, text out. */

import { Recognizer } from "./recognizer.mjs";

const RUNTIME = "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
const ids = ["file", "microphone", "status", "text"];
const [file, microphone, status, text] = ids.map((id) =>
  document.getElementById(id),
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

/** Replaces the reason of a failure by words for whoever reads the page. */
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

/** A recording's samples at the model's rate, the mean of its channels. */
async function decode(recording) {
  const context = new OfflineAudioContext(1, 1, recognizer.rate);
  const audio = await orSay(
    context.decodeAudioData(await recording.arrayBuffer()),
    () => `${recording.name}: not a recording that this browser reads.`,
  );
  const samples = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((sample, i) => {
      samples[i] += sample / audio.numberOfChannels;
    });
  }
  return samples;
}

async function readFile() {
  const recording = file.files[0];
  const samples = await decode(recording);
  recognizer.reset();
  for (let at = 0; at < samples.length; at += recognizer.chunk) {
    const chunk = samples.subarray(at, at + recognizer.chunk);
    text.textContent = await recognizer.feed(chunk);
    // The browser shows it when nothing else is to be done.
    await new Promise((resolve) => setTimeout(resolve));
  }
  text.textContent = await recognizer.finish();
  const seconds = (samples.length / recognizer.rate).toFixed(1);
  return `${recording.name}: ${seconds} s`;
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
    await hear(stream, context);
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
    microphone.textContent = "Use the microphone";
    microphone.onclick = () => act(listen);
  }
  text.textContent = await recognizer.finish();
  return "Stopped.";
}

/** Reads the microphone until its button is pressed again. */
async function hear(stream, context) {
  const recorder = new AudioWorkletNode(context, "recorder", {
    channelCount: 1,
    channelCountMode: "explicit",
  });
  let last = recognizer.reset();
  const stopped = new Promise((stop, fail) => {
    microphone.onclick = stop;
    recorder.port.onmessage = ({ data }) => {
      last = Promise.resolve(last).then(() => recognizer.feed(data));
      last.then((heard) => (text.textContent = heard)).catch(fail);
    };
  });
  context.createMediaStreamSource(stream).connect(recorder);
  microphone.textContent = "Stop";
  microphone.disabled = false;
  status.textContent = "Listening.";
  await stopped;
  recorder.port.onmessage = null;
  await last;
}

file.onclick = () => (file.value = ""); // The same file may be chosen again.
file.onchange = () => act(readFile);
microphone.onclick = () => act(listen);
act(load);
