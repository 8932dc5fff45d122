/** The form: what a visitor asks for, and what it offers. */

import type { Model } from "./model";
import type { Rule } from "./rule";

export const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

const CLEAN = 0;
const QUIETEST = 31;

/** Decibels of the slider: the left end is no noise, the right end 0 dB. */
export function decibel(): number | undefined {
  const value = Number(at<HTMLInputElement>("noise").value);
  return value === CLEAN ? undefined : QUIETEST - value;
}

export const kind = (): string => new FormData(at<HTMLFormElement>("controls")).get("kind") as string;

/** Fill the choices, and keep them in step; first the tasks of which the shipped recording's answer is known. */
export function offer(model: Model): void {
  const unknown = (task: string): number => Number(!model.heads[task]?.spoken);
  const tasks = Object.keys(model.exits).sort((a, b) => unknown(a) - unknown(b));
  fill("task", [...tasks, ""], (task) => task || "none");
  const threshold = at<HTMLInputElement>("threshold");
  threshold.max = String(model.most);
  threshold.value = String(model.threshold);
  chosen(model);
}

/** Offer what the chosen task has, and say what the sliders mean. */
export function chosen(model: Model): void {
  const scales = model.exits[value("task")];
  document.body.classList.toggle("uncalibrated", scales === undefined);
  if (scales) {
    fill("rho", Object.keys(scales), (rho) => rho);
    fill("strategy", Object.keys(scales[value("rho")]), (strategy) => strategy);
  }
  at("nats").textContent = `${Number(value("threshold")).toFixed(2)} nats`;
  const ratio = decibel();
  const told = ratio === undefined ? "none" : `${ratio} dB`;
  at("level").textContent = told;
  at("noise").setAttribute("aria-valuetext", ratio === undefined ? "no noise" : `speech ${ratio} decibels above the noise`);
}

/** Where a recording may stop, by the form. */
export function rule(model: Model): Rule {
  const scales = model.exits[value("task")];
  if (scales) return scales[value("rho")][value("strategy")];
  return { candidates: Array.from({ length: model.layers }, (_, i) => i + 1), tau: Number(value("threshold")) };
}

/** The same, as the command line has it. */
export function options(model: Model): string {
  if (!model.exits[value("task")]) return `--threshold ${value("threshold")}`;
  return `--task ${value("task")} --rho ${value("rho")} --strategy ${value("strategy")}`;
}

/** The chosen task; empty for none. */
export const task = (): string => value("task");

const value = (id: string): string => at<HTMLInputElement | HTMLSelectElement>(id).value;

function fill(id: string, values: string[], text: (value: string) => string): void {
  const select = at<HTMLSelectElement>(id);
  const [known, before] = [select.options.length > 0, select.value];
  if (values.join() === [...select.options].map((option) => option.value).join()) return;
  select.replaceChildren(...values.map((value) => new Option(text(value), value)));
  select.value = known && values.includes(before) ? before : values[0];
}
