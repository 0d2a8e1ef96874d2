"""POST /fhir: a batch, a transaction, or a submission; see `bundles.is_submission`."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.responses import Response

from services.gateway.access.principal import Action, require
from services.gateway.call import Call, body
from services.gateway.fhir import answers, bundles, content, dispatch, submit, transaction
from services.kernel.errors import InvalidInput


async def root(call: Call) -> Response:
    """Take a Bundle for what it is."""
    content.require_json(call)
    answers.accept_json(call.request)
    came = await body(call.request, call.gateway.settings.bundle_bytes_max)
    kind = await content.run_heavy(len(came), _kind, came)
    if kind is None:
        require(call.principal, Action.SUBMIT)
        return await submit.take(call, came)
    bundle = content.as_object(await content.run_heavy(len(came), content.parse, came))
    if kind == "transaction":
        return await transaction.run(call, bundle)
    return await run(call, bundle)


async def run(call: Call, bundle: dict[str, Any]) -> Response:
    """Do every entry by itself, in the Bundle's order; one that fails stops no other."""
    answered = []
    for asked in bundles.each(bundle, f"{call.base_url}/fhir"):
        if isinstance(asked, InvalidInput):
            answered.append(dispatch.failed(asked))
        else:
            answered.append(await dispatch.entry(call, asked))
        await asyncio.sleep(0)  # others get their turn
    await call.audit("batch")
    return transaction.respond("batch-response", answered)


def _kind(came: bytes) -> str | None:
    """Return batch or transaction; None for a submission, and for what cannot be read.

    Ingest alone says what is wrong in a submission.
    """
    try:
        bundle = orjson.loads(came)
    except ValueError:
        return None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return None
    return None if bundles.is_submission(bundle) else str(bundle["type"])
