/** The exported segments in ONNX Runtime: a front end, then a layer and a branch for every depth. */

import * as ort from "onnxruntime-web/wasm";
import glue from "../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs?raw";
import { asset } from "./assets";

let ready: Promise<void> | undefined;

async function runtime(): Promise<void> {
  // One thread: more need headers (COOP, COEP) that static servers do not send, and this model gains little by them.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  // Both halves of the runtime are handed over: from a disk, it could load neither. Its own address serves to find the other.
  const text = glue.replaceAll("import.meta.url", JSON.stringify(document.baseURI));
  const module = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  ort.env.wasm.wasmPaths = { mjs: module };
  ort.env.wasm.wasmBinary = await asset("runtime");
}

export class Segments {
  private readonly contents = new Map<string, Promise<Uint8Array>>();
  private readonly sessions = new Map<string, Promise<ort.InferenceSession>>();

  /** Fetch and unpack segments that will be needed soon, so that none waits for it once its turn has come. */
  fetch(...names: string[]): void {
    for (const name of names) {
      const content = asset(name);
      content.catch(() => {}); // whoever asks for the session is told
      this.contents.set(name, content);
    }
  }

  /** The session of a segment; it is loaded when first needed. */
  session(name: string): Promise<ort.InferenceSession> {
    const known = this.sessions.get(name) ?? this.load(name);
    this.sessions.set(name, known);
    return known;
  }

  private async load(name: string): Promise<ort.InferenceSession> {
    const segment = this.contents.get(name) ?? asset(name);
    this.contents.delete(name);
    await (ready ??= runtime());
    return ort.InferenceSession.create(await segment, { executionProviders: ["wasm"] });
  }

  /** The outputs of a segment, in its order. */
  async run(name: string, value: ort.Tensor): Promise<ort.Tensor[]> {
    const session = await this.session(name);
    const results = await session.run({ [session.inputNames[0]]: value });
    return session.outputNames.map((output) => results[output] as ort.Tensor);
  }
}

export const tensor = (wave: Float32Array<ArrayBuffer>): ort.Tensor => new ort.Tensor("float32", wave, [1, wave.length]);
export type Tensor = ort.Tensor;

/** States (1, T, D), one per layer, as one tensor (n, T, D). */
export function stacked(states: Tensor[]): ort.Tensor {
  const [, length, dim] = states[0].dims;
  const whole = new Float32Array(states.length * length * dim);
  states.forEach((state, i) => whole.set(state.data as Float32Array, i * length * dim));
  return new ort.Tensor("float32", whole, [states.length, length, dim]);
}
