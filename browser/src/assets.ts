/** What lies beside the page: segments, sounds, the runtime. Each is a script, since a page from a disk may load no other. */

declare global {
  interface Window {
    /** Called by every file in `data/`: its name, and its content, compressed by gzip and as base64. */
    daisyAsset: (name: string, content: string) => void;
  }
}

const arrived = new Map<string, string>();
window.daisyAsset = (name, content) => void arrived.set(name, content);

/** The content of `data/NAME.js`, as bytes. */
export async function asset(name: string): Promise<Uint8Array<ArrayBuffer>> {
  await load(`data/${name}.js`);
  const content = arrived.get(name);
  arrived.delete(name);
  if (content === undefined) throw new Error(`data/${name}.js holds no asset of that name`);
  const stream = new Blob([bytes(content)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Base64 as bytes: by the browser where it can, since millions of letters take a while. */
function bytes(content: string): Uint8Array<ArrayBuffer> {
  const native = (Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  if (native) return native(content);
  const letters = atob(content);
  const made = new Uint8Array(letters.length);
  for (let i = 0; i < made.length; i++) made[i] = letters.charCodeAt(i);
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
