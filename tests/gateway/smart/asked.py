"""What apps of these tests ask for, and where."""

from __future__ import annotations

SITE = "https://gateway.example"

SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs"
