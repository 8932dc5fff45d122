/** Adding noise at a signal-to-noise ratio, as `daisy.corpora.mixing` does it. */

const PEAK = 0.99;
const SILENT = 1e-10;

/** The mean of the squared samples. */
export function power(wave: Float32Array): number {
  let sum = 0;
  for (const sample of wave) sum += sample * sample;
  return sum / wave.length;
}

export const silent = (wave: Float32Array): boolean => !(power(wave) > SILENT);

/** Speech with noise; one that is shorter is repeated. A mixture that would clip is scaled down. */
export function mix(speech: Float32Array, noise: Float32Array, decibel: number): Float32Array<ArrayBuffer> {
  const fitted = speech.map((_, i) => noise[i % noise.length]);
  const gain = Math.sqrt(power(speech) / power(fitted) / 10 ** (decibel / 10));
  const mixture = Float64Array.from(speech, (sample, i) => sample + gain * fitted[i]);
  const scale = Math.min(1, PEAK / mixture.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
  return Float32Array.from(mixture, (sample) => scale * sample);
}

/** Gaussian white noise at -20 dB of full scale, always the same. */
export function white(samples: number): Float32Array<ArrayBuffer> {
  let state = 1337;
  // A generator of one 32-bit state (mulberry32): good enough to be heard, and to be flat.
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length: samples }, () => 0.1 * normal());
}
