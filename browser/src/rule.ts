/** The exit rule, as `daisy.exits.rule` has it. Layers are counted from 1, entropies are in nats. */

export interface Rule {
  /** Layers at which a recording may stop, in order. */
  candidates: number[];
  tau: number;
}

/** Where every recording stops whatever its entropy. */
export const last = (rule: Rule): number => rule.candidates[rule.candidates.length - 1];

/** Whether the branch of layer k is asked; that of the last candidate would change nothing. */
export const asks = (rule: Rule, k: number): boolean => k !== last(rule) && rule.candidates.includes(k);

/** Whether an entropy stops a recording at a layer that is asked. */
export const stops = (rule: Rule, entropy: number): boolean => entropy <= rule.tau;
