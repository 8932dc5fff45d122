/** What a task's trained head makes of the states of a pass: words, or a name. */

import type { Head } from "./model";
import { type Segments, stacked, type Tensor } from "./segments";

/** The segment of a task's head. */
export const headOf = (task: string): string => `head-${task}`;

/** What was heard, from the states 0 to k of a pass that stopped at layer k. */
export async function hear(segments: Segments, task: string, head: Head, states: Tensor[]): Promise<string> {
  const [output] = await segments.run(headOf(task), stacked(states));
  return text(output.data as Float32Array, head);
}

/** The text of a head's output, step by step of as many numbers as there are labels; see `daisy.library.heads`. */
function text(output: Float32Array, { labels, ctc, trimmed }: Head): string {
  const best = Array.from({ length: output.length / labels.length }, (_, step) =>
    largest(output.subarray(step * labels.length, (step + 1) * labels.length)),
  );
  if (!ctc) return labels[best[0]];
  const kept = best.filter((label, step) => label !== best[step - 1]).map((label) => labels[label]);
  return trimmed ? kept.join("").replace(/^ +| +$/g, "") : kept.join("");
}

/** The place of the largest number, of the first one of several. */
const largest = (values: Float32Array): number => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
