/** To 16 kHz by a windowed sinc, with the numbers that torchaudio's `resample` has, so that both give the same samples. */

export const RATE = 16_000;
const ZEROS = 6;
const ROLLOFF = 0.99;

/** A recording at another rate. */
export function resample(wave: Float32Array<ArrayBuffer>, from: number, to = RATE): Float32Array<ArrayBuffer> {
  if (from === to) return wave;
  const common = divisor(from, to);
  const [step, phases] = [from / common, to / common];
  // Cycles per input sample of the filter's edge, and how many input samples it reaches to either side.
  const edge = (Math.min(step, phases) * ROLLOFF) / step;
  const reach = ZEROS / edge;
  const filters = Array.from({ length: phases }, (_, phase) => filter((phase * step) / phases, edge, reach));
  return Float32Array.from({ length: Math.ceil((wave.length * phases) / step) }, (_, n) => {
    const { first, taps } = filters[n % phases];
    const start = Math.floor(n / phases) * step + first;
    let sum = 0;
    for (let i = Math.max(0, -start); i < taps.length && start + i < wave.length; i++) sum += taps[i] * wave[start + i];
    return sum;
  });
}

/** The weights of the input samples around a place between them. */
function filter(place: number, edge: number, reach: number): { first: number; taps: number[] } {
  const first = Math.ceil(place - reach);
  const taps = [];
  for (let i = first; i <= place + reach; i++) {
    const t = (i - place) * edge;
    const window = Math.cos((t * Math.PI) / ZEROS / 2) ** 2;
    taps.push(edge * window * (t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t)));
  }
  return { first, taps };
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** The mean of all channels. */
export function mono(channels: Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}
