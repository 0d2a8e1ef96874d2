"""medSpaCy's side of benchmarks/notes.py, run by the Python of its own environment.

One line of JSON in, one out. First line: the phrases to find. Each further line: sentences,
answered by the seconds of processor time that reading each of them as a document of its own took.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """Answer until the input ends."""
    import medspacy
    from medspacy.ner import TargetRule

    nlp = medspacy.load(
        medspacy_enable={"medspacy_pyrush", "medspacy_target_matcher", "medspacy_context"}
    )
    rules = [TargetRule(phrase, "PROBLEM") for phrase in json.loads(sys.stdin.readline())]
    nlp.get_pipe("medspacy_target_matcher").add(rules)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        sentences, found = json.loads(line), 0
        began = time.process_time()
        for sentence in sentences:
            found += len(nlp(sentence).ents)
        print(json.dumps({"seconds": time.process_time() - began, "found": found}), flush=True)


if __name__ == "__main__":
    main()
