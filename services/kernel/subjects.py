"""Every subject, stream and durable consumer of the bus, and who may use which.

Subjects are `dx.v1.<tenant>.<noun>.<verb or kind>[.<priority>]`. The tables here make the
streams, the consumers and the NATS permissions of each service; nothing else spells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dxmesh.event.v1 import (
    case_deidentified_pb2,
    case_received_pb2,
    case_ref_pb2,
    case_stopped_pb2,
    consent_withdrawn_pb2,
    critical_found_pb2,
    feedback_given_pb2,
    finding_ready_pb2,
    part_ready_pb2,
    report_composed_pb2,
    report_signed_pb2,
    subject_forgotten_pb2,
)
from google.protobuf.message import Message

PRIORITIES = ("stat", "urgent", "routine")
"""Most pressing first."""

_PRIORITY_NAMES: dict[int, str] = {
    case_ref_pb2.PRIORITY_STAT: "stat",
    case_ref_pb2.PRIORITY_URGENT: "urgent",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of event: its noun and verb, its stream, its message type."""

    name: str
    stream: str
    event: type[Message]
    prioritised: bool = True
    only: tuple[str, ...] = PRIORITIES
    """Priorities that are consumed, most pressing first."""

    def subject(self, tenant: str, priority: int = 0) -> str:
        """Return the subject for a tenant ("*": any) and a `case_ref.Priority`."""
        ending = f".{priority_name(priority)}" if self.prioritised else ""
        return f"dx.v1.{tenant}.{self.name}{ending}"

    def filters(self) -> list[tuple[str, str]]:
        """Return (priority, subject filter) pairs, most pressing first."""
        if not self.prioritised:
            return [("", f"dx.v1.*.{self.name}")]
        return [(name, f"dx.v1.*.{self.name}.{name}") for name in self.only]


def priority_name(priority: int) -> str:
    """Return the subject token of a `case_ref.Priority`; unknown ones are routine."""
    return _PRIORITY_NAMES.get(priority, "routine")


IDENTITY_STREAM, ANALYSIS_STREAM = "DX_IDENTITY", "DX_ANALYSIS"
FEEDBACK_STREAM, DEAD_STREAM = "DX_FEEDBACK", "DX_DEAD"

CASE_RECEIVED = Topic("case.received", IDENTITY_STREAM, case_received_pb2.CaseReceived)
CONSENT_WITHDRAWN = Topic(
    "consent.withdrawn", IDENTITY_STREAM, consent_withdrawn_pb2.ConsentWithdrawn, False
)
CASE_DEIDENTIFIED = Topic(
    "case.deidentified", ANALYSIS_STREAM, case_deidentified_pb2.CaseDeidentified
)
CASE_STOPPED = Topic("case.stopped", ANALYSIS_STREAM, case_stopped_pb2.CaseStopped)
PART_IMAGING = Topic("part.imaging", ANALYSIS_STREAM, part_ready_pb2.PartReady)
PART_LABS = Topic("part.labs", ANALYSIS_STREAM, part_ready_pb2.PartReady)
PART_NLP = Topic("part.nlp", ANALYSIS_STREAM, part_ready_pb2.PartReady)
SUBJECT_FORGOTTEN = Topic(
    "part.forgotten.all", ANALYSIS_STREAM, subject_forgotten_pb2.SubjectForgotten, False
)
"""Three tokens, so that the stream of a mesh that runs already takes it: `part.*.*`."""
FINDING_IMAGING = Topic("finding.imaging", ANALYSIS_STREAM, finding_ready_pb2.FindingReady)
FINDING_LABS = Topic("finding.labs", ANALYSIS_STREAM, finding_ready_pb2.FindingReady)
FINDING_NLP = Topic("finding.nlp", ANALYSIS_STREAM, finding_ready_pb2.FindingReady)
FINDING_CRITICAL = Topic("finding.critical", ANALYSIS_STREAM, critical_found_pb2.CriticalFound)
REPORT_COMPOSED = Topic("report.composed", ANALYSIS_STREAM, report_composed_pb2.ReportComposed)
REPORT_SIGNED = Topic("report.signed", ANALYSIS_STREAM, report_signed_pb2.ReportSigned, False)
FEEDBACK_GIVEN = Topic("feedback.given", FEEDBACK_STREAM, feedback_given_pb2.FeedbackGiven, False)

PART_IMAGING_STAT = replace(PART_IMAGING, only=("stat",))
"""The lane that is kept free for stat parts, beside the one that takes all."""

FINDINGS = (FINDING_IMAGING, FINDING_LABS, FINDING_NLP)
TOPICS = (
    CASE_RECEIVED,
    CONSENT_WITHDRAWN,
    CASE_DEIDENTIFIED,
    CASE_STOPPED,
    PART_IMAGING,
    PART_LABS,
    PART_NLP,
    SUBJECT_FORGOTTEN,
    *FINDINGS,
    FINDING_CRITICAL,
    REPORT_COMPOSED,
    REPORT_SIGNED,
    FEEDBACK_GIVEN,
)

STREAMS: dict[str, list[str]] = {
    IDENTITY_STREAM: ["dx.v1.*.case.received.*", "dx.v1.*.consent.withdrawn"],
    ANALYSIS_STREAM: [
        "dx.v1.*.case.deidentified.*",
        "dx.v1.*.case.stopped.*",
        "dx.v1.*.part.*.*",
        "dx.v1.*.finding.*.*",
        "dx.v1.*.report.composed.*",
        "dx.v1.*.report.signed",
    ],
    FEEDBACK_STREAM: ["dx.v1.*.feedback.given"],
    DEAD_STREAM: ["dx.v1.*.dead.*"],
}
"""Subjects each stream keeps."""

PUBLISHES: dict[str, tuple[Topic, ...]] = {
    "gateway": (CASE_STOPPED,),
    "ingest": (CASE_RECEIVED,),
    "consent": (CONSENT_WITHDRAWN,),
    "anonymization": (
        CASE_DEIDENTIFIED,
        CASE_STOPPED,
        PART_IMAGING,
        PART_LABS,
        PART_NLP,
        SUBJECT_FORGOTTEN,
    ),
    "imaging": (FINDING_IMAGING, FINDING_CRITICAL),
    "labs": (FINDING_LABS, FINDING_CRITICAL),
    "nlp": (FINDING_NLP,),
    "reporting": (REPORT_COMPOSED, REPORT_SIGNED, FEEDBACK_GIVEN),
}

CONSUMES: dict[str, tuple[Topic, ...]] = {
    "gateway": (
        CASE_RECEIVED,
        CONSENT_WITHDRAWN,
        CASE_DEIDENTIFIED,
        CASE_STOPPED,
        *FINDINGS,
        FINDING_CRITICAL,
        REPORT_COMPOSED,
        REPORT_SIGNED,
    ),
    "ingest": (CASE_STOPPED,),
    "consent": (),
    "anonymization": (CASE_RECEIVED, CASE_STOPPED, CONSENT_WITHDRAWN),
    "imaging": (PART_IMAGING,),
    "labs": (PART_LABS, SUBJECT_FORGOTTEN),
    "nlp": (PART_NLP,),
    "reporting": (CASE_DEIDENTIFIED, CASE_STOPPED, *FINDINGS),
}

SERVICES = tuple(PUBLISHES)
OPERATES = frozenset({"gateway"})
"""Services that list and retry dead letters for the operator."""

IDENTITY_ZONE = frozenset({"gateway", "ingest", "anonymization", "consent"})
"""Services that may see identity; the others see pseudonyms alone."""


def durable(service: str, topic: Topic, priority: str) -> str:
    """Return the name of a durable consumer."""
    return "-".join(part for part in (service, topic.name.replace(".", "-"), priority) if part)


def dead_subject(tenant: str, service: str) -> str:
    """Return where a service lays its dead letters."""
    return f"dx.v1.{tenant}.dead.{service}"


def streams_of(service: str) -> list[str]:
    """Return the streams a service needs: those it writes to or reads."""
    used = {topic.stream for topic in PUBLISHES[service] + CONSUMES[service]}
    return sorted(used | {DEAD_STREAM})


def makes(service: str) -> list[str]:
    """Return the streams a service creates where they are missing.

    None for the analysis zone: whoever makes a stream may make it a copy of another one.
    """
    if service in OPERATES:
        return sorted(STREAMS)
    return streams_of(service) if service in IDENTITY_ZONE else []


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a service may publish to and subscribe to; everything else is refused."""

    publish: list[str]
    subscribe: list[str]


def permissions(service: str) -> Permissions:
    """Return what NATS lets a service do: its own subjects and consumers, nothing more."""
    publish = [
        topic.subject("*", priority)
        for topic in PUBLISHES[service]
        for priority in (_priorities() if topic.prioritised else [0])
    ]
    publish.append(dead_subject("*", service))
    publish += [f"$JS.API.STREAM.CREATE.{stream}" for stream in makes(service)]
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in streams_of(service)]
    for topic in CONSUMES[service]:
        for priority, subject in topic.filters():
            publish += list(_consumer_api(topic.stream, durable(service, topic, priority), subject))
    if service in OPERATES:
        publish += _operator_api()
    return Permissions(publish, [f"_INBOX_{service}.>"])


def _priorities() -> list[int]:
    return [case_ref_pb2.PRIORITY_STAT, case_ref_pb2.PRIORITY_URGENT, case_ref_pb2.PRIORITY_ROUTINE]


def _consumer_api(stream: str, name: str, subject: str) -> Iterator[str]:
    yield f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}"
    yield f"$JS.API.CONSUMER.INFO.{stream}.{name}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
    yield f"$JS.ACK.{stream}.{name}.>"


def _operator_api() -> list[str]:
    """Reading and removing dead letters, putting one back, and the depth of every queue."""
    back = sorted({subject for topic in TOPICS for _, subject in topic.filters()})
    dead = [f"$JS.API.STREAM.MSG.{verb}.{DEAD_STREAM}" for verb in ("GET", "DELETE")]
    infos = [
        f"$JS.API.CONSUMER.INFO.{topic.stream}.{durable(service, topic, priority)}"
        for service, topics in CONSUMES.items()
        for topic in topics
        for priority, _ in topic.filters()
    ]
    return back + dead + infos
