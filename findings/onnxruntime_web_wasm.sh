#!/usr/bin/env bash
# onnxruntime-web 1.30.0 (npm), in node 20
# Guessed: onnxruntime-web/wasm, the build for the CPU alone, runs where
#     onnxruntime-web does.
# Does: it can be imported, and each InferenceSession.create() then fails with
#     "Dynamic require of "node:os" is not supported". The whole build runs
#     the same model: code of a page that is tested in node needs that one.
# Seen: 2026-11-29
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund onnxruntime-web@1.30.0
cat > try.mjs <<'SCRIPT'
// y = Identity(x), of one float: an ONNX file written out by hand.
const text = (s) => [s.length, ...Buffer.from(s)];
const field = (n, bytes) => [n * 8 + 2, bytes.length, ...bytes];
const shape = field(2, field(1, [8, 1]));
const type = field(2, field(1, [8, 1, ...shape]));
const value = (name) => [10, ...text(name), ...type];
const node = [10, ...text("x"), 18, ...text("y"), 34, ...text("Identity")];
const graph = [
  ...field(1, node), 18, ...text("g"),
  ...field(11, value("x")), ...field(12, value("y")),
];
const model = new Uint8Array([
  8, 8, ...field(7, graph), ...field(8, [10, 0, 16, 13]),
]);
const seen = {};
for (const build of ["onnxruntime-web", "onnxruntime-web/wasm"]) {
  try {
    const ort = await import(build);
    const session = await ort.InferenceSession.create(model);
    const x = new ort.Tensor("float32", [3], [1]);
    seen[build] = `runs, ${(await session.run({ x })).y.data}`;
  } catch (error) {
    seen[build] = error.message;
  }
  console.log(`${build}: ${seen[build]}`);
}
const other = seen["onnxruntime-web/wasm"];
const same = seen["onnxruntime-web"] === "runs, 3" &&
  other.includes('Dynamic require of "node:os" is not supported');
process.exit(same ? 0 : 1);
SCRIPT
node try.mjs
