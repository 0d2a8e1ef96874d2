"""`python -m benchmarks [NAME …]`: measure all, or those named; print and write results.md."""

from __future__ import annotations

import importlib
import sys

from benchmarks import machine, results

NAMES = [
    "case",
    "receiving",
    "imaging_workers",
    "inference_hop",
    "bus",
    "deidentification",
    "labs",
    "labs_history",
    "notes",
    "search",
    "fhir_server",
    "cds_hooks",
    "bulk_export",
]


def main(wanted: list[str]) -> int:
    """Return 0 when every benchmark ran; 2 when a name is unknown."""
    if unknown := [name for name in wanted if name not in NAMES]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    sections = results.read()
    for name in wanted or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        measured = machine.describe(module.PACKAGES)
        print(f"\n{name}: {measured}\n", flush=True)
        found = module.main()
        sections[name] = results.section(
            name, module.__doc__ or name, module.rows(found), str(module.verdict(found)), measured
        )
        results.write(sections, NAMES)
    print(f"\nwritten to {results.PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
