/** Entropy layer by layer, as bars against the threshold, and the times of both passes. All drawing is SVG or plain boxes. */

export type State = "asked" | "passed" | "exit" | "saved";

export interface Bar {
  layer: number;
  entropy: number;
  state: State;
}

const [HEIGHT, LEFT, BOTTOM, TOP] = [260, 34, 26, 14];

/** The chart's markup, for a place of `width` pixels: numbers alone go into it. `tau` is left out where nothing is asked. */
export function chart(bars: Bar[], tau: number | undefined, most: number, width: number): string {
  const known = bars.map((bar) => bar.entropy || 0); // what was not measured is not drawn
  const top = 1.08 * Math.max(...known, tau ?? 0, most / 20);
  const y = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const slot = (width - LEFT) / bars.length;
  const drawn = bars.map(({ layer, state }, i) => {
    const x = LEFT + (layer - 1) * slot;
    const box = `x="${(x + slot * 0.14).toFixed(1)}" width="${(slot * 0.72).toFixed(1)}" rx="3"`;
    const delay = `style="animation-delay:${layer * 35}ms"`;
    return `<g class="${state}"><rect ${box} y="${y(known[i]).toFixed(1)}" height="${(y(0) - y(known[i])).toFixed(1)}" ${delay}/>
      <text x="${(x + slot / 2).toFixed(1)}" y="${HEIGHT - 8}" text-anchor="middle">${layer}</text></g>`;
  });
  const line = tau === undefined || tau > top ? "" : `<g class="tau"><line x1="${LEFT}" x2="${width}" y1="${y(tau)}" y2="${y(tau)}"/>
    <text x="${width}" y="${y(tau) - 5}" text-anchor="end">${tau.toFixed(2)} nats</text></g>`;
  return `<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${spoken(bars, tau)}">${axis(top, y, width)}${drawn.join("")}${line}</svg>`;
}

function axis(top: number, y: (value: number) => number, width: number): string {
  const step = [0.1, 0.2, 0.5, 1, 2, 5].find((it) => top / it < 5) ?? 10;
  const ticks = Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => i * step);
  return ticks
    .map((value) => `<g class="tick"><line x1="${LEFT}" x2="${width}" y1="${y(value)}" y2="${y(value)}"/>
    <text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${+value.toFixed(1)}</text></g>`)
    .join("");
}

function spoken(bars: Bar[], tau: number | undefined): string {
  const values = bars.filter((bar) => !Number.isNaN(bar.entropy)).map((bar) => `layer ${bar.layer} ${bar.entropy.toFixed(2)}${bar.state === "saved" ? " (saved)" : ""}`);
  return `Entropy in nats: ${values.join(", ")}.${tau === undefined ? "" : ` Threshold ${tau.toFixed(2)}.`}`;
}

/** Two bars of time, as shares of the longer one; each is made of parts. */
export function times(rows: { name: string; parts: { kind: string; ms: number }[] }[]): string {
  const sums = rows.map((row) => row.parts.reduce((sum, part) => sum + part.ms, 0));
  const longest = Math.max(...sums);
  return rows
    .map(({ name, parts }, i) => {
      const boxes = parts.map(({ kind, ms }) => `<i class="${kind}" style="width:${((100 * ms) / longest).toFixed(2)}%"></i>`);
      return `<div class="time"><span>${name}</span><b>${milliseconds(sums[i])}</b><div class="track">${boxes.join("")}</div></div>`;
    })
    .join("");
}

export const milliseconds = (value: number): string => (value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)}\u00a0ms` : `${(value / 1000).toFixed(2)}\u00a0s`);

/** The waveform's outline. */
export function outline(canvas: HTMLCanvasElement, wave: Float32Array): void {
  const scale = devicePixelRatio || 1;
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale)));
  const height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale)));
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x++) {
    const [from, to] = [Math.floor((x * wave.length) / width), Math.floor(((x + 1) * wave.length) / width)];
    let peak = 0;
    for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(wave[i]));
    const half = Math.max(0.5, (peak * height) / 2);
    pen.fillRect(x, height / 2 - half, 1, 2 * half);
  }
}
