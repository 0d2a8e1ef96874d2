"""POST /fhir: a batch, a transaction, or a submission; see `bundles.is_submission`."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from services.gateway.access.principal import Action, require
from services.gateway.call import Call, body
from services.gateway.fhir import answers, bundles, content, dispatch, results, submit, transaction
from services.kernel.errors import InvalidInput, Violation

TYPES = (
    *("batch", "batch-response", "collection", "document", "history", "message", "searchset"),
    *("transaction", "transaction-response"),
)
"""Kinds of Bundle in R4. Of a submission's kind ingest says whether it is taken."""


async def root(call: Call) -> Response:
    """Take a Bundle for what it is, and a file of results as cases."""
    if kind := results.kind_of(call):
        require(call.principal, Action.SUBMIT)
        return await results.take(call, kind)
    content.require_json(call)
    answers.accept_json(call.request)
    came = await body(call.request, call.gateway.settings.bundle_bytes_max)
    bundle = content.as_object(await content.run_heavy(len(came), content.parse, came))
    content.require_type(bundle, "Bundle")
    if bundle.get("type") not in TYPES:
        problem = Violation("Bundle.type", f"must be one of {', '.join(TYPES)}")
        raise InvalidInput("not a Bundle of R4", [problem], reason="BAD_REQUEST")
    if bundles.is_submission(bundle):
        require(call.principal, Action.SUBMIT)
        return await submit.take(call, came)
    if bundle["type"] == "transaction":
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
