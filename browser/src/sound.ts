/** A file becomes one channel at 16 kHz, or a sentence that says why not. */

import { header } from "./header";
import { silent } from "./noise";
import { mono, RATE, resample } from "./resample";

/** Seconds that are used of a recording: attention's time grows with the square of its length. */
export const LONGEST = 30;
/** Megabytes of a file of a kind that can only be decoded whole. */
const LARGEST = 40;
const BEGINNING = 1 << 18;
const CANCELLED = 0.03;

export interface Sound {
  name: string;
  /** (samples,) at 16 kHz. */
  wave: Float32Array<ArrayBuffer>;
  /** What is unusual about it, or was done to it. */
  notes: string[];
}

/** Why a recording cannot be used, as a sentence for its owner. */
export class Refusal extends Error {}

/** Read a recording of any kind that the browser knows. */
export async function read(file: Blob, name: string, shortest: number): Promise<Sound> {
  if (file.size === 0) throw new Refusal(`${name} is empty.`);
  const told = header(new Uint8Array(await file.slice(0, BEGINNING).arrayBuffer()));
  if (!told && file.size > LARGEST * 1e6) {
    throw new Refusal(`${name} has ${Math.round(file.size / 1e6)} MB, too much to decode here. Cut out 30 seconds of it.`);
  }
  const enough = told ? BEGINNING + told.perSecond * (LONGEST + 1) : file.size;
  const seconds = file.size > enough ? await duration(file) : 0; // of what is decoded whole, the samples tell
  const channels = await decoded(await file.slice(0, enough).arrayBuffer(), told?.rate ?? 48_000, name);
  return finished(name, channels, told?.rate ?? 48_000, shortest, seconds);
}

/** Mix down, resample and cut what was decoded or recorded. */
export function finished(
  name: string,
  channels: Float32Array<ArrayBuffer>[],
  rate: number,
  shortest: number,
  seconds = 0,
): Sound {
  const notes: string[] = [];
  const whole = Math.max(seconds, channels[0].length / rate);
  if (whole > LONGEST + 0.05) notes.push(`It is ${long(whole)} long; the first ${LONGEST} seconds are used.`);
  const kept = channels.map((channel) => channel.slice(0, Math.round(LONGEST * rate)));
  const mixed = mono(kept);
  if (channels.length > 1) notes.push(`It has ${channels.length} channels; their mean is used.`);
  const loudest = Math.sqrt(Math.max(...kept.map(meanSquare)));
  if (loudest > 0 && Math.sqrt(meanSquare(mixed)) < CANCELLED * loudest) notes.push("Its channels cancel each other out.");
  if (rate !== RATE) notes.push(`It is resampled from ${rate / 1000} kHz to 16 kHz.`);
  if (rate < RATE) notes.push(`Nothing above ${rate / 2000} kHz is in it, so the model is less sure of it than of other speech.`);
  const wave = resample(mixed, rate);
  if (wave.length < shortest) {
    throw new Refusal(`${name} lasts ${((1000 * wave.length) / RATE).toFixed(0)} ms, and the model needs ${(1000 * shortest) / RATE}.`);
  }
  if (!wave.every(Number.isFinite)) throw new Refusal(`${name} holds samples that are no numbers.`);
  if (silent(wave)) throw new Refusal(`${name} is silent throughout.`);
  return { name, wave, notes };
}

/** Channels at the file's own rate: a context of that rate makes the browser leave it alone. */
async function decoded(content: ArrayBuffer, rate: number, name: string): Promise<Float32Array<ArrayBuffer>[]> {
  try {
    const buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
    if (buffer.length > 0) return Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
  } catch {
    // What follows says it better.
  }
  throw new Refusal(`${name} is no recording that this browser can read. WAV, FLAC, MP3 and Ogg are read by most.`);
}

/** Seconds by a player, which looks at a file's end too; 0 if it cannot tell. */
function duration(file: Blob): Promise<number> {
  return new Promise((done) => {
    const player = new Audio();
    const end = (seconds: number) => (URL.revokeObjectURL(player.src), done(Number.isFinite(seconds) ? seconds : 0));
    player.onloadedmetadata = () => end(player.duration);
    player.onerror = () => end(0);
    setTimeout(() => end(0), 2000);
    player.preload = "metadata";
    player.src = URL.createObjectURL(file);
  });
}

const meanSquare = (wave: Float32Array): number => wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length;

function long(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}

/** A 16-bit WAV file, to be played. */
export function playable(wave: Float32Array): Blob {
  const samples = Int16Array.from(wave, (sample) => Math.max(-1, Math.min(32767 / 32768, sample)) * 32768);
  const head = new DataView(new ArrayBuffer(44));
  const write = (place: number, text: string) => [...text].forEach((it, i) => head.setUint8(place + i, it.charCodeAt(0)));
  write(0, "RIFF"), write(8, "WAVEfmt "), write(36, "data");
  head.setUint32(4, 36 + samples.byteLength, true);
  head.setUint32(16, 16, true), head.setUint16(20, 1, true), head.setUint16(22, 1, true);
  head.setUint32(24, RATE, true), head.setUint32(28, 2 * RATE, true), head.setUint16(32, 2, true), head.setUint16(34, 16, true);
  head.setUint32(40, samples.byteLength, true);
  return new Blob([head, samples], { type: "audio/wav" });
}
