"""One archive of DICOM files to one volume in patient space, or a refusal with its numbers."""
