/** Hands the microphone's samples to the page, 128 at a time. */
class Recorder extends AudioWorkletProcessor {
  process([[samples]]) {
    // There are none before the microphone starts. The browser writes into
    // the same memory again, so the page gets a copy.
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}
registerProcessor("recorder", Recorder);
