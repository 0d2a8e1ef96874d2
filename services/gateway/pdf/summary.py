"""The notes' summary with the words of the note each sentence rests on."""

from __future__ import annotations

import base64
from typing import Any

from services.gateway.pdf.findings import remarks, verdict
from services.gateway.pdf.resources import Json, by_reference, codes, extensions, first, of_type
from services.gateway.pdf.words import Language

QUOTE_CHARS_MAX = 160
Row = dict[str, Any]


def summary(bundle: Json, language: Language) -> Row:
    """Return the sentences with sections and quotes, and what the physician said of them."""
    found = [
        each for each in of_type(bundle, "Observation") if "summary" in codes(each.get("code", {}))
    ]
    texts = _texts(bundle)
    sentences = [
        {
            "section": str(part.get("code", {}).get("text", "")),
            "text": str(part.get("valueString", "")),
            "quotes": _quotes(part, texts),
        }
        for each in found
        for part in each.get("component", [])
    ]
    observation = first(found)
    return {
        "sentences": sentences,
        "verdict": verdict(observation, language) if observation else "",
        "remarks": remarks(observation),
        "rejected": observation.get("status") == "entered-in-error",
    }


def _quotes(component: Json, texts: dict[str, str]) -> list[str]:
    quotes = []
    for span in extensions(component, "source-span"):
        text = texts.get(span["document"]["reference"], "")
        quote = " ".join(text[span["start"] : span["end"]].split())
        if quote:
            long = len(quote) > QUOTE_CHARS_MAX
            quotes.append(quote[:QUOTE_CHARS_MAX] + "…" if long else quote)
    return list(dict.fromkeys(quotes))


def _texts(bundle: Json) -> dict[str, str]:
    """Return each note's text by the reference to its DocumentReference."""
    known = by_reference(bundle)
    texts: dict[str, str] = {}
    for document in of_type(bundle, "DocumentReference"):
        attachment = first(document.get("content", [])).get("attachment", {})
        data = known.get(str(attachment.get("url", "")), {}).get("data", "")
        text = base64.b64decode(data).decode("utf-8", "replace")
        texts[f"DocumentReference/{document['id']}"] = text
    return texts
