"""dxmesh as a SMART app that an EHR launches: the gateway, not the page, performs the launch.

`registry` says which EHRs there are; `launch` opens a session for one patient of one EHR;
`pages` show that patient's cases and submit new ones; `writeback` puts signed reports into
the EHR. Source: SMART App Launch 2.2.0; RFC 6749, 7523, 7636, 9207; OpenID Connect Core 1.0.
"""
