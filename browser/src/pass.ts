/** A forward pass that stops, as `daisy.library.onnx_runtime` makes it, and what each part of it took. */

import { asks, last, stops, type Rule } from "./rule";
import { type Segments, type Tensor, tensor } from "./segments";

export interface Pass {
  /** Where it stopped. */
  layer: number;
  /** E_1 to E_K; NaN where no branch was asked. */
  entropies: number[];
  /** Milliseconds: of the front end, of all layers that ran, of all branches that were asked. */
  front: number;
  body: number;
  branches: number;
}

export const total = (pass: Pass): number => pass.front + pass.body + pass.branches;

/** A pass with the states that it went through: h_0 to h_k, each (1, T, D). */
export interface Kept extends Pass {
  states: Tensor[];
}

/** Run a recording until it stops. With `every` set all branches are asked, but nothing stops before the last candidate. */
export async function run(
  segments: Segments,
  layers: number,
  wave: Float32Array<ArrayBuffer>,
  rule: Rule,
  every = false,
): Promise<Kept> {
  const pass: Kept = { layer: last(rule), entropies: Array(layers).fill(NaN), front: 0, body: 0, branches: 0, states: [] };
  let since = performance.now();
  const spent = () => {
    const before = since;
    since = performance.now();
    return since - before;
  };
  const [first, embedded] = await segments.run("front_end", tensor(wave));
  pass.states.push(first);
  let x = embedded;
  pass.front = spent();
  for (let k = 1; k <= last(rule); k++) {
    const [next, h] = await segments.run(numbered("layer", k), x);
    pass.body += spent();
    x = next;
    pass.states.push(h);
    if (!every && !asks(rule, k)) continue;
    const [entropy] = await segments.run(numbered("branch", k), h);
    pass.entropies[k - 1] = Number(entropy.data[0]);
    pass.branches += spent();
    if (!every && stops(rule, pass.entropies[k - 1])) return { ...pass, layer: k };
  }
  return pass;
}

export const numbered = (kind: "layer" | "branch", k: number): string => `${kind}-${String(k).padStart(2, "0")}`;
