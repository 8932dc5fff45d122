/** The page: a recording, noise and a rule go in; the layer at which the model stops, and what that saves, come out. */

import "./style.css";
import { asset } from "./assets";
import { headOf, hear } from "./heard";
import * as controls from "./controls";
import { at } from "./controls";
import { record } from "./microphone";
import { description, type Model } from "./model";
import { mix, white } from "./noise";
import { type Kept, numbered, type Pass, run } from "./pass";
import { Segments } from "./segments";
import { type Heard, redraw, type Result, show, showTimes } from "./shown";
import { finished, playable, read, Refusal, type Sound } from "./sound";

const RECORDED = 5;
/** Pairs of passes, one after the other, of which medians are shown. */
const PAIRS = 5;
/** Milliseconds of timing at most; a long recording gets fewer pairs. */
const PATIENCE = 3000;

const segments = new Segments();
const noises = new Map<string, Promise<Sound>>();
let model: Model;
let shipped: Sound;
let sound: Sound;
/** Counts requests: whoever finds it changed has been overtaken. */
let current = 0;

async function begin(): Promise<void> {
  model = await description();
  for (let k = 1; k <= model.layers; k++) segments.fetch(numbered("layer", k), numbered("branch", k));
  segments.fetch(...Object.keys(model.heads).map(headOf));
  shipped = sound = await stored("sentence", "The shipped recording");
  controls.offer(model);
  at("about").textContent = about(model);
  await update();
  // What else may be asked for comes while nobody waits.
  for (const name of ["music", "babble"]) void noise(name);
}

const about = ({ name, layers, half }: Model): string =>
  `Model: ${name}, ${layers} layers${half ? ", weights of 16 bits" : ""}. Computed in float32 by ONNX Runtime Web, one thread of this browser.`;

async function stored(name: string, title: string): Promise<Sound> {
  return { ...(await read(new Blob([await asset(name)]), title, model.shortest)), notes: [] };
}

function noise(name: string): Promise<Sound> {
  const known = noises.get(name) ?? stored(name, name);
  noises.set(name, known);
  return known;
}

/** What the model hears: the recording, with the noise that is asked for. */
async function heard(): Promise<Float32Array<ArrayBuffer>> {
  const [ratio, kind] = [controls.decibel(), controls.kind()];
  if (ratio === undefined) return sound.wave;
  return mix(sound.wave, kind === "white" ? white(sound.wave.length) : (await noise(kind)).wave, ratio);
}

/** Run what is asked for, and show it; a later request ends an earlier one. */
async function update(): Promise<void> {
  const mine = ++current;
  const overtaken = () => mine !== current;
  controls.chosen(model);
  document.body.dataset.state = "busy";
  const [wave, rule] = [await heard(), controls.rule(model)];
  await frame();
  if (overtaken()) return;
  const early = await run(segments, model.layers, wave, rule);
  if (overtaken()) return;
  const result: Result = { sound: sound.name, wave, rule, early, heard: await listenTo(early) };
  if (overtaken()) return;
  present(result);
  play(wave);
  await frame();
  const full = await run(segments, model.layers, wave, { candidates: [model.layers], tau: 0 }, true);
  const both = await listenTo(early, full);
  if (overtaken()) return;
  present({ ...result, full, heard: both });
  await time(result, overtaken);
  if (!overtaken()) document.body.dataset.state = "ready";
}

/** What the chosen task's head hears, or every task's where none is chosen. */
async function listenTo(early: Kept, full?: Kept): Promise<Heard[]> {
  const chosen = controls.task();
  const heads = Object.entries(model.heads).filter(([task]) => chosen === "" || chosen === task);
  const heard = (task: string, pass: Kept) => hear(segments, task, model.heads[task], pass.states);
  return Promise.all(
    heads.map(async ([task, { spoken }]) => ({
      task,
      spoken: sound === shipped ? spoken : "",
      early: await heard(task, early),
      full: full && (await heard(task, full)),
    })),
  );
}

function present(result: Result): void {
  window.daisyResult = result;
  show(result, sound.notes, controls.options(model), model);
  document.body.dataset.state = "shown";
}

/** Time both passes in turn, so that what slows the machine slows both. */
async function time({ wave, rule }: Result, overtaken: () => boolean): Promise<void> {
  const [early, full]: Pass[][] = [[], []];
  const whole = { candidates: [model.layers], tau: 0 };
  const until = performance.now() + PATIENCE;
  for (let pair = 0; pair < PAIRS && (pair === 0 || performance.now() < until); pair++) {
    await frame();
    if (overtaken()) return;
    early.push(timesOf(await run(segments, model.layers, wave, rule)));
    full.push(timesOf(await run(segments, model.layers, wave, whole)));
  }
  showTimes(early, full, wave.length, model);
}

/** A pass without its states, of which ten long recordings would fill the memory. */
const timesOf = ({ states: _, ...pass }: Kept): Pass => pass;

const frame = (): Promise<void> => new Promise((done) => setTimeout(done));

let address = "";
function play(wave: Float32Array): void {
  const player = at<HTMLAudioElement>("player");
  const [place, going] = [player.currentTime, !player.paused];
  URL.revokeObjectURL(address);
  player.src = address = URL.createObjectURL(playable(wave));
  if (going) {
    // Noise that is turned up while one listens goes on where it was.
    player.currentTime = place;
    void player.play();
  }
}

/** Take a recording, or say why it cannot be taken; the one before stays. */
async function take(source: () => Promise<Sound>, pressed: string): Promise<void> {
  const message = at("message");
  message.hidden = true;
  try {
    sound = await source();
    for (const id of ["shipped", "record"]) at(id).setAttribute("aria-pressed", String(id === pressed));
    at("file").parentElement!.classList.toggle("pressed", pressed === "file");
    at<HTMLAudioElement>("player").pause();
    await update();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    message.textContent = error.message;
    message.hidden = false;
  }
}

const takeFile = (file: File): Promise<void> => take(() => read(file, file.name, model.shortest), "file");

let recording: AbortController | undefined;
async function toggleRecording(): Promise<void> {
  if (recording) return recording.abort();
  const button = at("record");
  recording = new AbortController();
  const told = (seconds: number) => (button.textContent = `Stop (${Math.max(0, RECORDED - seconds).toFixed(0)} s)`);
  await take(async () => {
    try {
      const { samples, rate } = await record(RECORDED, recording!.signal, told);
      if (samples.length === 0) throw new Refusal("Nothing was recorded.");
      return finished("Your recording", [samples], rate, model.shortest);
    } finally {
      recording = undefined;
      button.textContent = "Record";
    }
  }, "record");
}

function listen(): void {
  at("controls").addEventListener("input", (event) => {
    if ((event.target as HTMLElement).id !== "file") void update().catch(broken);
  });
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("shipped").addEventListener("click", () => void take(async () => shipped, "shipped").catch(broken));
  at("record").addEventListener("click", () => void toggleRecording().catch(broken));
  at<HTMLInputElement>("file").addEventListener("change", (event) => {
    const input = event.target as HTMLInputElement;
    if (input.files?.[0]) void takeFile(input.files[0]).catch(broken);
    input.value = "";
  });
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) void takeFile(file).catch(broken);
  });
}

function broken(error: unknown): void {
  const message = at("message");
  message.textContent = `The page cannot go on: ${error instanceof Error ? error.message : error}.`;
  message.hidden = false;
  console.error(error);
}

declare global {
  interface Window {
    /** What is shown, for the console and for tests. */
    daisyResult: Result;
  }
}

// The runtime is on its way while the rest is read.
segments.session("front_end").catch(broken);
begin().then(listen, broken);
