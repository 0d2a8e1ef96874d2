"""Room for SMART on FHIR: dxmesh as an authorization server and as an app an EHR launches.

Routes join the table in `gateway.routes`; tokens become a `Principal` in `gateway.access`.
"""
