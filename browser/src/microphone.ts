/** A few seconds from the microphone, as it gives them: unprocessed, not compressed. */

import { Refusal } from "./sound";

// As an address: from a disk, a worklet may not be loaded from an object's.
const COLLECTOR = `registerProcessor("collector", class extends AudioWorkletProcessor {
  process([[samples]]) { if (samples) this.port.postMessage(samples.slice()); return true; }
});`;

export interface Recorded {
  samples: Float32Array<ArrayBuffer>;
  rate: number;
}

/** Record until `seconds` are over or `stop` is signalled; `heard` is told of the seconds so far. */
export async function record(seconds: number, stop: AbortSignal, heard: (seconds: number) => void): Promise<Recorded> {
  const stream = await opened();
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(COLLECTOR)}`);
    const collector = new AudioWorkletNode(context, "collector", { channelCount: 1, channelCountMode: "explicit" });
    const blocks: Float32Array[] = [];
    const enough = seconds * context.sampleRate;
    await new Promise<void>((done) => {
      let count = 0;
      collector.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
        blocks.push(data);
        heard((count += data.length) / context.sampleRate);
        if (count >= enough) done();
      };
      stop.addEventListener("abort", () => done(), { once: true });
      context.createMediaStreamSource(stream).connect(collector);
    });
    const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    blocks.reduce((place, block) => (samples.set(block, place), place + block.length), 0);
    return { samples, rate: context.sampleRate };
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  }
}

async function opened(): Promise<MediaStream> {
  const raw = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  if (!navigator.mediaDevices) throw new Refusal("The browser gives the microphone only to pages from https, localhost or the disk.");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: raw });
  } catch (error) {
    const refused = (error as DOMException).name === "NotAllowedError";
    throw new Refusal(refused ? "The browser was not allowed to use the microphone." : "There is no microphone.");
  }
}
