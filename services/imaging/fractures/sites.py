"""What a header's body part means for this reading.

Words are those of DICOM PS3.16 Annex L (Body Part Examined) and what devices write beside
them; `part` is the group of the training set that the region belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """A region of the body that can be read."""

    name: str
    """For the report, lower case with hyphens."""

    part: str
    """ "hand", "leg", "hip" or "shoulder", as the network groups them."""


_READ: dict[str, tuple[str, str]] = {
    "HAND": ("hand", "hand"),
    "FINGER": ("finger", "hand"),
    "THUMB": ("thumb", "hand"),
    "WRIST": ("wrist", "hand"),
    "FOREARM": ("forearm", "hand"),
    "RADIUS": ("forearm", "hand"),
    "ULNA": ("forearm", "hand"),
    "RADIUSULNA": ("forearm", "hand"),
    "ELBOW": ("elbow", "hand"),
    "ARM": ("upper-arm", "hand"),
    "UPPERARM": ("upper-arm", "hand"),
    "HUMERUS": ("upper-arm", "shoulder"),
    "EXTREMITY": ("", ""),
    "UPPEREXTREMITY": ("upper-limb", "hand"),
    "UPPERLIMB": ("upper-limb", "hand"),
    "SHOULDER": ("shoulder", "shoulder"),
    "CLAVICLE": ("clavicle", "shoulder"),
    "SCAPULA": ("scapula", "shoulder"),
    "HIP": ("hip", "hip"),
    "PELVIS": ("hip", "hip"),
    "FEMUR": ("thigh", "leg"),
    "THIGH": ("thigh", "leg"),
    "UPPERLEG": ("thigh", "leg"),
    "KNEE": ("knee", "leg"),
    "PATELLA": ("knee", "leg"),
    "LEG": ("lower-leg", "leg"),
    "LOWERLEG": ("lower-leg", "leg"),
    "TIBIA": ("lower-leg", "leg"),
    "FIBULA": ("lower-leg", "leg"),
    "TIBIAFIBULA": ("lower-leg", "leg"),
    "LOWEREXTREMITY": ("lower-limb", "leg"),
    "LOWERLIMB": ("lower-limb", "leg"),
    "ANKLE": ("ankle", "leg"),
    "FOOT": ("foot", "leg"),
    "TOE": ("toe", "leg"),
    "CALCANEUS": ("heel", "leg"),
    "HEEL": ("heel", "leg"),
}
OTHER = frozenset(
    """
    ABDOMEN ABDOMENPELVIS BREAST CHEST CHESTABDOMEN CERVICALSPINE COCCYX CSPINE DSPINE FACE HEAD
    HEART JAW LSPINE LUMBARSPINE MANDIBLE MAXILLA NECK NOSE ORBIT RIB RIBS SACRUM SINUS SKULL
    SPINE SSPINE STERNUM TEETH TMJ THORAX THORACICSPINE TSPINE WHOLEBODY
    """.split()  # noqa: SIM905
)
"""Regions the network was not trained on."""

BY_PART = {"hand": "upper-limb", "leg": "lower-limb", "hip": "hip", "shoulder": "shoulder"}
"""Site that the network's own answer allows: coarse, as the training set is."""


def plain(body_part: str) -> str:
    """Return a header's word without blanks, hyphens and underscores, in upper case."""
    return "".join(letter for letter in body_part.upper() if letter.isalnum())


def stated(body_part: str) -> Site | None:
    """Return the site a header states; None when it states none that this reading knows."""
    name, part = _READ.get(plain(body_part), ("", ""))
    return Site(name, part) if name else None


def elsewhere(body_part: str) -> bool:
    """True when the header states a region the network was not trained on."""
    return plain(body_part) in OTHER
