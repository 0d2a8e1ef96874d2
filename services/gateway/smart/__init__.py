"""dxmesh as a SMART App Launch 2.2 authorization server, and what an EHR's launch needs of it.

An app is registered by the operator (`clients`, `ops`), finds its addresses
(`configuration`), sends a physician here (`authorize`, `consent`, `pick`), and changes the
code for tokens (`token`). `authentication` is how a client proves who it is. Tokens become a
`Principal` in `gateway.access`. docs/adr/0014-smart-server.md says why it is made like this.
"""
