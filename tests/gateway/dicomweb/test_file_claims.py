"""What a file says of itself is not believed where memory or time would be its price."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from services.gateway.store.dicom import Instance, Series
from services.gateway.web import outlines, stacks
from services.kernel.errors import TooLarge

MANY = 2_000_000_000


@pytest.mark.requirement("DX-VIE-12")
def test_a_file_that_claims_two_milliard_frames_is_described_like_any_other() -> None:
    said = {"00280010": {"vr": "US", "Value": [8]}, "00280011": {"vr": "US", "Value": [8]}}
    one = Instance("1.2.3.1", "1.2", "1.2.840.10008.1.2.1", "b", 0, 100, 50, MANY, said)
    made = stacks.describe([Series("c", "1.2", "1.2.3", False, {}, (one, one))], {"entry": []})
    assert len(made["series"][0]["images"]) == stacks.IMAGES_MAX


@pytest.mark.requirement("DX-VIE-12")
def test_a_segmentation_that_claims_two_milliard_tiles_is_not_drawn() -> None:
    dataset = Dataset()
    dataset.Rows = dataset.Columns = 8
    dataset.TotalPixelMatrixRows = dataset.TotalPixelMatrixColumns = 8
    dataset.NumberOfFrames = MANY
    with pytest.raises(TooLarge):
        outlines.tiles(dataset)
