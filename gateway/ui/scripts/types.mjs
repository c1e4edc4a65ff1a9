// Writes src/api/schema.d.ts: the types of everything that the gateway of this checkout takes and answers.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const checkout = fileURLToPath(new URL("../../..", import.meta.url));
const python = process.env.PYTHON ?? "python3";
const description = execFileSync(python, ["-m", "gateway.describe"], { cwd: checkout, maxBuffer: 64 << 20 });
const ast = await openapiTS(JSON.parse(description.toString()), { defaultNonNullable: false });
writeFileSync(fileURLToPath(new URL("../src/api/schema.d.ts", import.meta.url)), astToString(ast));
