// Builds what `daisy page` copies: one classic script, since modules cannot be loaded from a disk (file://).
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const OUT = "../daisy/page/app";
const RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

/** ONNX Runtime looks for its WebAssembly beside its own script; the page hands it over instead. */
const handedOver = {
  name: "handed-over",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith("ort.wasm.min.mjs") ? code.replaceAll("import.meta.url", "document.baseURI") : undefined,
};

const digest = (content) => createHash("sha256").update(content).digest("hex");

/** Notes of which sources the files were built, so that a test without Node finds what was not built again. */
const noted = {
  name: "noted",
  closeBundle() {
    const wasm = readFileSync(RUNTIME);
    writeFileSync(`${OUT}/runtime.wasm.gz`, gzipSync(wasm, { level: 9 }));
    const files = readdirSync(".", { recursive: true, withFileTypes: true })
      .filter((it) => it.isFile())
      .map((it) => `${it.parentPath}/${it.name}`.replace(/^\.\//, ""))
      .filter((name) => !name.startsWith("node_modules/") && !/\.pyc?$/.test(name))
      .sort();
    const sources = Object.fromEntries(files.map((name) => [name, digest(readFileSync(name))]));
    const made = Object.fromEntries(
      ["app.js", "index.html", "style.css"].map((name) => [name, digest(readFileSync(`${OUT}/${name}`))]),
    );
    made["runtime.wasm.gz"] = digest(wasm); // unpacked: compression differs between versions of Node
    writeFileSync(`${OUT}/built.json`, `${JSON.stringify({ sources, made }, null, 1)}\n`);
  },
};

export default {
  plugins: [handedOver, noted],
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "browser", "import", "default"] },
  build: {
    target: "es2022",
    outDir: OUT,
    emptyOutDir: true,
    reportCompressedSize: false,
    lib: { entry: "src/main.ts", formats: ["iife"], name: "daisy", fileName: () => "app.js", cssFileName: "style" },
  },
};
