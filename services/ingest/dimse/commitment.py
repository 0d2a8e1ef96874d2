"""Storage commitment, push model: what was asked, and the report of what is held.

The report goes out on an association of ours, with the roles swapped, to the place that the
table of devices names. It promises what is true: the instance is kept, encrypted, until the
case that takes it is de-identified or the upload is given up. dxmesh is no archive.

Source: DICOM PS3.4 annex J (N-ACTION J.3.2, N-EVENT-REPORT J.3.3), PS3.7 D.3.3.4 (roles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from services.ingest.dimse.devices import Device
from services.ingest.dimse.receiving import Named
from services.ingest.dimse.statuses import NO_SUCH_INSTANCE
from services.kernel.errors import InvalidInput, Unavailable

REQUEST = 1
"""Action Type ID of "Request Storage Commitment"."""
NO_SUCH_ACTION = 0x0123
ALL_HELD, SOME_NOT = 1, 2
"""Event Type IDs of the report."""
INSTANCES_MAX = 50_000
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One transaction."""

    transaction: str
    named: Sequence[Named]


def read(information: Dataset) -> Request:
    """Return what a device asks to be committed.

    Raises
    ------
    InvalidInput
        It has no transaction, no instances, or too many.
    """
    transaction = str(information.get("TransactionUID", ""))
    items = information.get("ReferencedSOPSequence") or ()
    if not UID(transaction).is_valid or not 0 < len(items) <= INSTANCES_MAX:
        raise InvalidInput(
            f"a transaction UID and 1 to {INSTANCES_MAX} instances are needed", reason="BAD_REQUEST"
        )
    named = [
        Named(str(i.get("ReferencedSOPClassUID", "")), str(i.get("ReferencedSOPInstanceUID", "")))
        for i in items
    ]
    return Request(transaction, named)


def report(request: Request, held: set[str]) -> tuple[int, Dataset]:
    """Return event type and information of the report."""
    information = Dataset()
    information.TransactionUID = request.transaction
    kept = [_item(each) for each in request.named if each.sop_instance in held]
    missing = [_item(each) for each in request.named if each.sop_instance not in held]
    if kept:
        information.ReferencedSOPSequence = kept
    if missing:
        for item in missing:
            item.FailureReason = NO_SUCH_INSTANCE
        information.FailedSOPSequence = missing
    return (SOME_NOT if missing else ALL_HELD), information


def send(own_title: str, device: Device, event_type: int, information: Dataset) -> None:
    """Report to the device. Blocks.

    Raises
    ------
    Unavailable
        It does not answer, or does not take the report.
    """
    if device.report_to is None:
        raise Unavailable("the device has no place for reports")
    host, port = device.report_to
    entity = AE(ae_title=own_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
    entity.connection_timeout = TIMEOUT_S
    entity.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    association = entity.associate(host, port, ae_title=device.title, ext_neg=[role])
    if not association.is_established:
        raise Unavailable("the device does not take the association for a report")
    try:
        status, _ = association.send_n_event_report(
            information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    except (RuntimeError, ValueError) as error:
        raise Unavailable("the device does not take a report") from error
    finally:
        association.release()
    if not status or status.Status != 0:
        raise Unavailable("the device did not confirm a report")


def _item(named: Named) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = named.sop_class
    item.ReferencedSOPInstanceUID = named.sop_instance
    return item
