"""dxmesh as a SMART app: launched by an EHR, reads from it, writes the signed report back."""
