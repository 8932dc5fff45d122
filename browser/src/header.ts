/** What a file's first bytes say. A browser decodes at any rate but its own silently, so the rate has to be found here. */

export interface Header {
  kind: "WAV" | "FLAC" | "MP3" | "Ogg";
  /** In hertz. */
  rate: number;
  /** At most so many bytes make a second. */
  perSecond: number;
}

const MP3_RATES = [44_100, 48_000, 32_000];

/** The header of a kind whose beginning can be decoded without its end; nothing for any other. */
export function header(bytes: Uint8Array): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from: number, length: number) => String.fromCharCode(...bytes.subarray(from, from + length));
  if (text(0, 4) === "RIFF" && text(8, 4) === "WAVE") return wav(view, text);
  if (text(0, 4) === "fLaC" && bytes.length > 42) return flac(view);
  if (text(0, 4) === "OggS") return ogg(view, text);
  return mp3(bytes, text(0, 3) === "ID3" ? 10 + synchsafe(bytes.subarray(6, 10)) : 0);
}

function wav(view: DataView, text: (from: number, length: number) => string): Header | undefined {
  for (let place = 12; place + 24 <= view.byteLength; place += 8 + view.getUint32(place + 4, true)) {
    if (text(place, 4) !== "fmt ") continue;
    return { kind: "WAV", rate: view.getUint32(place + 12, true), perSecond: view.getUint32(place + 16, true) };
  }
  return undefined;
}

function flac(view: DataView): Header {
  // Behind the marker and the block's header, of 4 bytes each: 10 bytes of sizes, then 20 bits of rate, 3 of channels, 5 of bits.
  const packed = view.getUint32(18);
  const rate = packed >>> 12;
  const channels = ((packed >>> 9) & 7) + 1;
  return { kind: "FLAC", rate, perSecond: rate * channels * 4 };
}

function ogg(view: DataView, text: (from: number, length: number) => string): Header | undefined {
  const body = 27 + view.getUint8(26);
  if (text(body, 8) === "OpusHead") return { kind: "Ogg", rate: 48_000, perSecond: 64_000 };
  if (text(body + 1, 6) === "vorbis") return { kind: "Ogg", rate: view.getUint32(body + 12, true), perSecond: 64_000 };
  return undefined;
}

function mp3(bytes: Uint8Array, from: number): Header | undefined {
  for (let place = from; place + 4 < Math.min(bytes.length, from + 4096); place++) {
    if (bytes[place] !== 0xff || (bytes[place + 1] & 0xe6) !== 0xe2) continue; // a frame of layer III
    const [version, index] = [(bytes[place + 1] >> 3) & 3, (bytes[place + 2] >> 2) & 3];
    if (version === 1 || index === 3) continue;
    const rate = MP3_RATES[index] / { 3: 1, 2: 2, 0: 4 }[version]!;
    return { kind: "MP3", rate, perSecond: 40_000 };
  }
  return undefined;
}

const synchsafe = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum * 128 + byte, 0);
