"""Reports into the store: identity restored, PDF rendered, one transaction, each version once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from dxmesh.event.v1.report_composed_pb2 import ReportComposed
from dxmesh.event.v1.report_signed_pb2 import ReportSigned

from services.gateway import attachments, corrections, signing
from services.gateway.access.accounts import Accounts
from services.gateway.call import Peers
from services.gateway.critical.ahead import Ahead
from services.gateway.dicomweb.made import MadeObjects
from services.gateway.fhir import overwriting, submission
from services.gateway.fhir.confidential import confidential
from services.gateway.fhir.submission import concept_text, describe
from services.gateway.progress import Case, Step, known, to_instant, to_us, with_step
from services.gateway.restore import Identity, restore
from services.gateway.store import Store
from services.gateway.store.reports import Review
from services.gateway.web import laboratory, reading
from services.kernel import fhir, telemetry
from services.kernel.blobs import Blobs
from services.kernel.crypto import KeyedHash
from services.kernel.errors import KeyDestroyed, NotFound, Unavailable

log = logging.getLogger(__name__)

Json = Any
Render = Callable[[Mapping[str, Json]], bytes]
"""Returns the PDF of a report, from its Bundle with the images as Binaries."""
STOPPED_FOR_GOOD = frozenset({"rejected", "cancelled"})


class StoreCommitter:
    """Writes composed and signed versions; every step can be repeated."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        analysis: Blobs,
        accounts: Accounts,
        hasher_for: Callable[[str], Awaitable[KeyedHash]],
        render: Render,
        identity_zone: Blobs,
        ahead: Ahead | None = None,
    ) -> None:
        self._store = store
        self._ahead = ahead
        self._peers = peers
        self._analysis = analysis
        self._accounts = accounts
        self._hasher_for = hasher_for
        self._render = render
        self._setting = asyncio.Lock()
        self._made = MadeObjects(analysis, identity_zone)

    async def composed(self, event: ReportComposed) -> None:
        """Store a composed version; after a signature it waits for one of its own.

        Raises
        ------
        OtherPatient
            What it was sent with would take the place of another patient's.
        Unavailable
            The notices of its critical results go first; the event comes again.
        """
        began = time.time_ns() // 1000
        tenant, case_id, version = event.case.tenant, event.case.case_id, event.version
        try:
            bundle, code = await self._bundle(event, await self._confidentiality(tenant, case_id))
        except KeyDestroyed:
            return  # the case was stopped meanwhile; its Task says so
        if self._ahead:
            critical = reading.badges(bundle)["critical"]
            await self._ahead.require(tenant, case_id, version, critical)
        async with self._store.cases.change(tenant, case_id) as opened:
            case = known(opened.case, event.case)
            if case.status in STOPPED_FOR_GOOD:
                return
            await self._store.reports.add_composed(
                opened.connection, tenant, case_id, version, bundle
            )
            composed_us = to_us(event.composed_time)
            case = with_step(case, Step("composed", "done", composed_us, composed_us))
            if case.signed_version:
                if version > case.signed_version:
                    case = replace(case, held_version=max(version, case.held_version))
            elif version > case.report_version:
                resources = [entry["resource"] for entry in bundle["entry"]]
                first = None if case.report_version else overwriting.require_unchanged
                await self._store.resources.put(
                    opened.connection, tenant, case_id, resources, require=first
                )
                label = _label(case, bundle, len(event.missing_parts))
                label |= {"confidentiality": code} if code else {}
                label[corrections.CRITICAL] = await self._criticals(tenant, bundle)
                ended = Step("committed", "done", began, time.time_ns() // 1000)
                case = replace(case, report_version=version, label=label)
                case = replace(with_step(case, ended), status="completed", reason="", message="")
            opened.case = case
        if case.subject_key:  # a case of a laboratory's message did not come through here
            people, references = self._store.people, submission.references(bundle)
            await people.remember_subject(tenant, references, case.subject_key)

    async def signed(self, event: ReportSigned) -> None:
        """Store the version a physician signed, once per signature.

        Raises
        ------
        Unavailable
            The composed version is not here yet; the event comes again.
        """
        tenant, case_id = event.case.tenant, event.case.case_id
        signed_us = to_us(event.signed_time)
        reviews = await self._store.reports.reviews(tenant, case_id)
        review = _review(reviews, event, signed_us)
        case = await self._store.cases.get(tenant, case_id)
        if _is_signed(case, signed_us):
            return
        if case.report_version < event.version and case.held_version < event.version:
            raise Unavailable("the signed version of the report is not stored yet")
        composed = await self._store.reports.composed(tenant, case_id, event.version)
        signature = await self._signature(event, review)
        signed = signing.sign(composed, signature, reading.finding_texts(composed))
        code = str(case.label.get("confidentiality", ""))
        signed = confidential(signed, code)
        signed = confidential(await self._with_pdf(signed, case_id), code)
        async with self._store.cases.change(tenant, case_id) as opened:
            if _is_signed(opened.case, signed_us):
                return  # the request and the event came at the same time
            if review:
                await self._store.reports.mark_signed(
                    opened.connection, tenant, case_id, review.request_id, signed_us
                )
            resources = [entry["resource"] for entry in signed["entry"]]
            await self._store.resources.put(opened.connection, tenant, case_id, resources)
            await self._store.ehr_writes.signed(opened.connection, tenant, case_id, signed_us)
            opened.case = _as_signed(opened.case, event.version, signed_us)

    async def _criticals(self, tenant: str, bundle: Mapping[str, Json]) -> list[list[str]]:
        """Return by what a later correction of its critical results would know them."""
        hasher = await self._hasher_for(tenant)
        return [
            corrections.sources(each, lambda reference: hasher("result-reference", reference))
            for each in laboratory.criticals(bundle)
        ]

    async def _confidentiality(self, tenant: str, case_id: str) -> str:
        """Return the label of what a case was submitted with; see `submission`."""
        try:
            case = await self._store.cases.get(tenant, case_id)
        except NotFound:
            return ""
        return str(case.label.get("confidentiality", ""))

    async def _bundle(self, event: ReportComposed, code: str) -> tuple[dict[str, Json], str]:
        """Return a report with identity, and its label: the submission may not be noted yet."""
        tenant, case_id = event.case.tenant, event.case.case_id
        content = await self._analysis.get(tenant, event.bundle)
        bundle = await asyncio.to_thread(fhir.parse, content)
        found = identity(await self._peers.reidentify(tenant, case_id))
        code = code or found.confidentiality
        restored = await self._made.keep(event, restore(bundle, found), found)
        binaries = reading.image_binaries(bundle)
        for image in event.images:
            if binary_id := binaries.get(image.name):
                png = await self._analysis.get(tenant, image)
                resource = attachments.binary(binary_id, "image/png", png)
                restored["entry"].append({"resource": resource})
        made = confidential(await self._with_pdf(confidential(restored, code), case_id), code)
        return made, code

    async def _with_pdf(self, bundle: dict[str, Json], case_id: str) -> dict[str, Json]:
        """Return the Bundle with its document; one that cannot be set must not hold it back."""
        try:
            # One at a time: they are Python, so side by side none is done sooner, and whatever
            # else the gateway does, critical results before all, waits for each of them.
            async with self._setting:
                pdf = await asyncio.to_thread(self._render, bundle)
        except Exception as error:  # noqa: BLE001 - whatever it was, the report goes out
            log.error("a report goes out without its PDF: %s", telemetry.frames(error))
            telemetry.failure("gateway.pdf", type(error).__name__)
            return attachments.in_context(bundle)
        return attachments.with_pdf(bundle, case_id, pdf)

    async def _signature(self, event: ReportSigned, review: Review | None) -> signing.Signature:
        """Return the signature: from the review kept here, else from the account alone."""
        tenant, hasher = event.case.tenant, await self._hasher_for(event.case.tenant)
        content: Mapping[str, Json] = review.content if review else {}
        name = next(
            (
                n
                for t, n in self._accounts.by_name
                if t == tenant and signer(hasher, n) == event.signer
            ),
            "",
        )
        account = self._accounts.by_name.get((tenant, name))
        return signing.Signature(
            practitioner_id=event.signer[:64],
            display=content.get("display") or (account.display if account else event.signer[:12]),
            identifier=content.get("practitioner") or (account.practitioner if account else ""),
            signed_at=to_instant(to_us(event.signed_time)),
            amendment=event.amendment,
            language=content.get("language", "en"),
            comment=content.get("comment", ""),
            verdicts={
                key: (v["verdict"], v.get("correction", ""))
                for key, v in content.get("verdicts", {}).items()
            },
            added=content.get("added", []),
        )


def identity(answer: ReidentifyResponse) -> Identity:
    """Return what anonymization answered, parsed."""
    return Identity(
        patient=_parsed(answer.patient_json),
        service_request=_parsed(answer.service_request_json),
        imaging_studies=[_parsed(study) for study in answer.imaging_study_json],
        days=answer.days_to_true_date,
        uids=dict(answer.uids),
        references=dict(answer.references),
        time_shift_s=answer.time_shift_s,
        confidentiality=answer.confidentiality,
    )


def signer(hasher: KeyedHash, name: str) -> str:
    """Return the pseudonym of an account, as the analysis zone may know it."""
    return hasher("signer", name)[:32]


def _review(reviews: Sequence[Review], event: ReportSigned, signed_us: int) -> Review | None:
    """Return the review a signature is for: the one marked with its time, else the newest open."""
    of_version = [r for r in reviews if (r.version, r.signer) == (event.version, event.signer)]
    marked = [r for r in of_version if r.signed_us == signed_us]
    return next(iter(marked or [r for r in of_version if not r.signed_us]), None)


def _is_signed(case: Case, signed_us: int) -> bool:
    """Tell whether this signature, or a later one, is in the store."""
    step = case.steps.get("signed")
    return bool(step and step.finished_us >= signed_us)


def _as_signed(case: Case, version: int, signed_us: int) -> Case:
    held = 0 if case.held_version <= version else case.held_version
    step = Step("signed", "done", signed_us, signed_us)
    return replace(
        case,
        steps={**case.steps, step.name: step},
        report_version=max(version, case.report_version),
        signed_version=max(version, case.signed_version),
        held_version=held,
        status="completed",
    )


def _label(case: Case, bundle: Mapping[str, Json], missing: int) -> dict[str, Json]:
    label = dict(case.label)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            label["patient"] = describe(resource)
            label["patient_reference"] = f"Patient/{resource['id']}"
        elif resource["resourceType"] == "ServiceRequest":
            label["order"] = concept_text(resource.get("code", {}))
            label["based_on"] = f"ServiceRequest/{resource['id']}"
        elif resource["resourceType"] == "DiagnosticReport":
            label["report"] = f"DiagnosticReport/{resource['id']}"
    label["badges"] = {**reading.badges(bundle), "missing": missing}
    return label


def _parsed(content: bytes) -> dict[str, Json]:
    return dict(fhir.parse(content)) if content else {}
