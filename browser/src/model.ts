/** What `data/model.js` says: the shape of the model, and where it may stop. */

import { asset } from "./assets";
import type { Rule } from "./rule";

/** How a task's head is read; see `daisy.library.heads`. */
export interface Head {
  labels: string[];
  /** Whether there is a label per step, of which repeats count once. */
  ctc: boolean;
  /** Whether spaces at either end are left out. */
  trimmed: boolean;
  /** What is said in the shipped recording, or by whom; empty if nobody knows. */
  spoken: string;
}

export interface Model {
  name: string;
  layers: number;
  branches: boolean;
  /** Samples of the first frame. */
  shortest: number;
  /** By task, then rho, then strategy. */
  exits: Record<string, Record<string, Record<string, Rule>>>;
  /** A threshold to begin with where there is no task, in nats. */
  threshold: number;
  /** The largest entropy there is: that of all classes being as likely, in nats. */
  most: number;
  half: boolean;
  /** Trained heads by task; none of a model that comes without. */
  heads: Record<string, Head>;
}

export async function description(): Promise<Model> {
  return JSON.parse(new TextDecoder().decode(await asset("model")));
}
