"""Why a slide is not read. Each type is one reason; its facts are the numbers that show it."""

from __future__ import annotations

from services.imaging.series.refusals import SeriesRefused


class DamagedSlide(SeriesRefused):
    """A file of the slide is cut short or contradicts itself."""


class NotASlide(SeriesRefused):
    """The files hold no tiled picture of a slide."""

    code = "NOT_A_SLIDE"


class FocalPlanes(SeriesRefused):
    """The slide was scanned at several focal planes; only one is read."""


class UnsuitableSlidePixels(SeriesRefused):
    """Pixels that are not 8-bit colour in transmitted light."""


class UnsupportedSlideCompression(SeriesRefused):
    """A compression that this service has no decoder for."""


class SlideTooLarge(SeriesRefused):
    """More pixels, tiles or levels than a slide has."""


class MissingScale(SeriesRefused):
    """The slide does not say how large a pixel is."""


class TooCoarse(SeriesRefused):
    """The finest level shows too little of a nucleus."""


class MixedSlides(SeriesRefused):
    """Files of several slides, scans or optical paths in one series."""


class NoTissue(SeriesRefused):
    """An empty slide."""


class NotHaematoxylinEosin(SeriesRefused):
    """The stain is not haematoxylin and eosin."""

    code = "NOT_HAEMATOXYLIN_EOSIN"
