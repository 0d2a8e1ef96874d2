"""The report as PDF/A-3: for reading and printing, with the FHIR JSON attached. Pure.

`render` takes the Bundle with identity restored. Nothing in it is parsed as markup; a
character the fonts lack is replaced and named in the document.
"""

from services.gateway.pdf.render import render, render_bundle

__all__ = ["render", "render_bundle"]
