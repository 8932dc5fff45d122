/** What lies beside the page: segments, sounds, the runtime. Each is a script, since a page from a disk may load no other. */

declare global {
  interface Window {
    /** Called by every file in `data/`: its name, how many bytes it has, and these, compressed by gzip, as `letters`. */
    daisyAsset: (name: string, size: number, letters: string) => void;
  }
}

const arrived = new Map<string, { size: number; letters: string }>();
window.daisyAsset = (name, size, letters) => void arrived.set(name, { size, letters });

/** Letters of 15 bits: as many characters from this one on; `daisy.library.page` writes them. */
const FIRST = 0x3400;
const BITS = 15;

/** The content of `data/NAME.js`, as bytes. */
export async function asset(name: string): Promise<Uint8Array<ArrayBuffer>> {
  await load(`data/${name}.js`);
  const content = arrived.get(name);
  arrived.delete(name);
  if (content === undefined) throw new Error(`data/${name}.js holds no asset of that name`);
  const stream = new Blob([bytes(content.size, content.letters)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytes(size: number, letters: string): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(size);
  // `held` has the last `count` bits that have not become bytes yet; what fills the last letter up falls behind the end.
  for (let i = 0, place = 0, held = 0, count = 0; i < letters.length; i++) {
    held = ((held << BITS) | (letters.charCodeAt(i) - FIRST)) & 0x7fffff;
    for (count += BITS; count >= 8; ) made[place++] = held >> (count -= 8);
  }
  return made;
}

function load(address: string): Promise<void> {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => (script.remove(), done());
    script.onerror = () => failed(new Error(`${address} is missing: write the page again with daisy page`));
    document.head.append(script);
  });
}
