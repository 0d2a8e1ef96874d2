"""One DICOM file in, one de-identified file out, or a reason why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.anonymization import dicom_identity, disposition, files, marks, pixels, profile
from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.pseudonyms import Pseudonyms


@dataclass
class Deidentifier:
    """De-identifies the instances of one case, and gathers who they name."""

    pseudonyms: Pseudonyms
    case_strings: KnownStrings = NOTHING
    """What the submission itself says."""
    dicom_strings: KnownStrings = NOTHING
    """What the instances seen so far say besides."""
    _joined: dict[KnownStrings, KnownStrings] = field(default_factory=dict)

    def instance(self, content: bytes) -> bytes:
        """Return the file without identity.

        Raises
        ------
        InstanceSetAside
            It holds no image, or burned-in text at places nobody knows.
        UnreadableInstance
            It is not DICOM, or damaged.
        """
        dataset = files.read(content)
        try:
            strings = dicom_identity.strings_of(dataset)
            masks = disposition.masks(dataset)
        except files.UNREADABLE as error:
            raise files.UnreadableInstance("an attribute of a file is malformed") from error
        known = self._known(strings)
        if masks:
            pixels.blank(dataset, masks)
        profile.deidentify(dataset, self.pseudonyms, known)
        if masks:
            marks.add_pixel_option(dataset)
        else:
            pixels.strip_comments(dataset)
        return files.write(dataset)

    def _known(self, strings: KnownStrings) -> KnownStrings:
        """Return the case's strings and this file's; made once for equal ones."""
        joined = self._joined.get(strings)
        if joined is None:
            joined = self._joined[strings] = self.case_strings | strings
            self.dicom_strings |= strings
        return joined
