"""Trains and measures the pathology models: nuclei on H&E, and the subtype of lung tumours."""
