// Segmentations of a case, fetched once it is open: outlines by image, the heat map of a slide.

export async function loadOverlays(viewer) {
  for (const { series, sop } of viewer.known.overlays) {
    const answer = await fetch(`${viewer.base}/overlays/${series}/${sop}`).catch(() => null);
    if (!answer?.ok) continue;
    const overlay = await answer.json();
    for (const [key, lines] of Object.entries(overlay.images ?? {})) {
      viewer.outlines.set(key, [...(viewer.outlines.get(key) ?? []), ...lines]);
    }
    if (overlay.slide?.fractional || (overlay.slide && !viewer.heat)) {
      viewer.heat = { series, sop, slide: overlay.slide };
      if (viewer.slide) viewer.slide.heat = viewer.heat;
    }
    viewer.draw();
  }
  viewer.root.dataset.overlays = "loaded";
}
