// What follows the bundle: licences of what is in it, and compressed copies, so that the gateway compresses nothing.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core", "openapi-fetch", "uplot", "@fontsource-variable/inter"];
const TEXT = new Set([".html", ".js", ".css", ".svg", ".txt", ".webmanifest"]);
/** Smaller files gain nothing. */
const LEAST_BYTES = 1024;

export function finished() {
  let out = "";
  return {
    name: "downdraft-finished",
    apply: "build",
    configResolved(config) {
      out = join(config.root, config.build.outDir);
    },
    closeBundle() {
      writeFileSync(join(out, "licences.txt"), licences());
      for (const file of filesIn(out)) compress(file);
    },
  };
}

function licences() {
  const told = BUNDLED.map((name) => {
    const folder = join("node_modules", name);
    const file = existing(folder);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `This page contains:\n\n${told.join(`\n${"-".repeat(80)}\n\n`)}`;
}

function existing(folder) {
  const file = readdirSync(folder).find((name) => /^licen[cs]e(\.|$)/i.test(name));
  if (!file) throw new Error(`${folder} has no licence`);
  return file;
}

function* filesIn(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesIn(path);
    else yield path;
  }
}

function compress(path) {
  const body = readFileSync(path);
  if (!TEXT.has(extname(path)) || body.length < LEAST_BYTES) return;
  writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}
