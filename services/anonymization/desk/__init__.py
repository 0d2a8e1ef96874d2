"""A document of a note turned into its text outside a mesh, for `dxmesh notes read`. Pure."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from services.anonymization.documents.document import read
from services.kernel.errors import InvalidInput


def answer(request: Any) -> dict[str, Any]:
    """Return the text of a document, its identity kept: it is for who gave the document alone.

    `content` is base64, `media_type` as in a DocumentReference.

    Raises
    ------
    InvalidInput
        It is no base64, or no note that can be read; the reason says which.
    """
    asked = request if isinstance(request, Mapping) else {}
    try:
        content = b64decode(str(asked.get("content", "")), validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("the content is not base64") from error
    return {"text": read(content, str(asked.get("media_type", ""))).text}
