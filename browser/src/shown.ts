/** What a result says, in words, bars and a table. */

import { type Bar, chart, milliseconds, outline, times } from "./chart";
import { at } from "./controls";
import type { Model } from "./model";
import { type Pass, total } from "./pass";
import { RATE } from "./resample";
import { asks, last, type Rule } from "./rule";

/** What a task's head heard, by the states up to the exit and by those of all layers; the latter come later. */
export interface Heard {
  task: string;
  /** What it should have heard; empty if nobody knows. */
  spoken: string;
  early: string;
  full?: string;
}

/** What one recording got. */
export interface Result {
  sound: string;
  /** What the model heard: (samples,) at 16 kHz. */
  wave: Float32Array<ArrayBuffer>;
  rule: Rule;
  early: Pass;
  /** What the heads made of it. */
  heard: Heard[];
  /** The full model's pass, with every branch asked; it comes later. */
  full?: Pass;
}

/** Show where it stopped, and why. */
export function show(result: Result, notes: string[], options: string, model: Model): void {
  const { early, full, rule, wave } = result;
  const bars = (full ?? early).entropies.map((entropy, i): Bar => ({ layer: i + 1, entropy, state: state(i + 1, result) }));
  const asked = rule.candidates.length > 1;
  at("headline").textContent = `Stopped at layer ${early.layer} of ${model.layers}`;
  at("why").textContent = why(result);
  draw = () => {
    const place = at("chart");
    place.classList.toggle("still", full !== undefined);
    place.innerHTML = chart(bars, asked ? rule.tau : undefined, model.most, Math.max(280, place.clientWidth));
    outline(at<HTMLCanvasElement>("wave"), wave);
  };
  draw();
  at("words").replaceChildren(...words(result, model.layers));
  at("numbers").replaceChildren(table(bars));
  at("sound-name").textContent = `${result.sound}, ${(wave.length / RATE).toFixed(1)} s`;
  at("notes").replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  at("same").textContent = `The same on the command line: daisy exits MODEL RECORDING ${options}`;
  at("headline").closest("section")!.setAttribute("aria-busy", "false");
}

let draw = (): void => undefined;
/** Draw again, for a window of another width or other colours. */
export const redraw = (): void => draw();

function state(k: number, { early, rule }: Result): Bar["state"] {
  if (k === early.layer) return "exit";
  if (k > early.layer) return "saved";
  return asks(rule, k) ? "asked" : "passed";
}

function why({ early, rule }: Result): string {
  if (rule.candidates.length === 1) return `Layer ${early.layer} is the only candidate: it always stops there.`;
  const entropy = early.entropies[early.layer - 1];
  const threshold = `the threshold of ${rule.tau.toFixed(2)} nats`;
  if (early.layer !== last(rule)) return `Its entropy is ${entropy.toFixed(2)}, not above ${threshold}.`;
  return `Layer ${early.layer} is the last candidate. No earlier one came down to ${threshold}.`;
}

/** Terms and descriptions of what was heard. */
function words({ heard, early }: Result, layers: number): HTMLElement[] {
  return heard.flatMap(({ task, spoken, ...by }) => {
    const which = heard.length > 1 ? ` (${task})` : "";
    const lines = [
      [`Heard up to layer ${early.layer}${which}`, by.early],
      [`By all ${layers} layers${which}`, by.full ?? "…"],
    ];
    if (spoken) lines.push([`In truth${which}`, spoken]);
    return lines.flatMap(([term, text]) => {
      const [name, said] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = term;
      said.textContent = text.trim() || "nothing";
      return [name, said];
    });
  });
}

function table(bars: Bar[]): HTMLTableElement {
  const words = { asked: "asked, too unsure", passed: "not asked", exit: "stops here", saved: "never ran" };
  const made = document.createElement("table");
  made.createTHead().innerHTML = "<tr><th>layer</th><th>entropy, nats</th><th></th></tr>";
  const body = made.createTBody();
  for (const bar of bars) {
    const row = body.insertRow();
    for (const text of [bar.layer, number(bar.entropy, 4), words[bar.state]]) row.insertCell().textContent = String(text);
  }
  return made;
}

const number = (value: number, digits: number): string => (Number.isNaN(value) ? "–" : value.toFixed(digits));

/** Show medians of both passes' times. */
export function showTimes(early: Pass[], full: Pass[], samples: number, model: Model): void {
  const [spent, whole] = [middle(early), middle(full)];
  const saved = 1 - total(spent) / total(whole);
  const parts = (pass: Pass) => [
    { kind: "front", ms: pass.front },
    { kind: "body", ms: pass.body },
    { kind: "branches", ms: pass.branches },
  ];
  at("saving").textContent =
    saved >= 0.005
      ? `${Math.round(100 * saved)}% of the time saved: ${milliseconds(total(whole) - total(spent))}`
      : "No time saved here";
  at("times").innerHTML = times([
    { name: `up to layer ${early[0].layer}`, parts: parts(spent) },
    { name: `all ${model.layers} layers`, parts: parts(whole) },
  ]);
  const speed = samples / RATE / (total(spent) / 1000);
  at("how-timed").innerHTML =
    '<span class="key"><span><i class="front"></i>front end, always needed</span><span><i class="body"></i>layers</span>' +
    `<span><i class="branches"></i>asking the branches</span></span> Measured just now on this device, in turn with the full model: ` +
    `medians of ${early.length}. The recording lasts ${speed.toFixed(0)} times as long.`;
}

/** The pass of the median total, so that its parts belong together. */
const middle = (passes: Pass[]): Pass => [...passes].sort((a, b) => total(a) - total(b))[passes.length >> 1];
