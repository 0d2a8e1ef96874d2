"""What the server can do, as documents an app finds by itself.

Source: SMART App Launch 2.2.0, Conformance; OpenID Connect Discovery 1.0; RFC 8414.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.gateway.smart.answers import CORS
from services.gateway.smart.assertions import ALGORITHMS
from services.gateway.smart.server import Server
from services.gateway.smart.site import Site

CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
METHODS = ("client_secret_basic", "private_key_jwt")
SCOPES = (
    "openid", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access",
    "online_access", "patient/*.cruds", "user/*.cruds", "system/*.cruds",
)  # fmt: skip
MINUTE = {"Cache-Control": "public, max-age=60"}


async def smart_configuration(request: Request, server: Server) -> Response:
    """Return the SMART configuration; open to any origin."""
    site = server.site(request)
    return JSONResponse(smart_document(site), headers={**CORS, **MINUTE})


async def openid_configuration(request: Request, server: Server) -> Response:
    """Return the OpenID provider's metadata, which are the authorization server's as well."""
    site = server.site(request)
    return JSONResponse(openid_document(site), headers={**CORS, **MINUTE})


async def jwks(request: Request, server: Server) -> Response:
    """Return the public keys of id_tokens."""
    settings = server.settings
    keys = await server.store.keys.current(settings.smart_key_overlap_s, settings.smart_key_days)
    return JSONResponse({"keys": keys.published}, headers={**CORS, **MINUTE})


async def style(request: Request, server: Server) -> Response:
    """Return the colours and sizes of our pages, for apps that want to look alike."""
    return JSONResponse(STYLE, headers={**CORS, **MINUTE})


def smart_document(site: Site) -> dict[str, Any]:
    """Return the SMART configuration."""
    return {**_shared(site), "capabilities": CAPABILITIES}


def openid_document(site: Site) -> dict[str, Any]:
    """Return the OpenID provider's metadata."""
    return {
        **_shared(site),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "profile"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def security(site: Site) -> dict[str, Any]:
    """Return CapabilityStatement.rest.security for SMART; older clients look here."""
    uris = {"authorize": site.authorize, "token": site.token, "introspect": site.introspect}
    uris["revoke"] = site.revoke
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [{"url": name, "valueUri": uri} for name, uri in uris.items()],
            }
        ],
        "service": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR",
                    }
                ]
            }
        ],
    }


def _shared(site: Site) -> dict[str, Any]:
    return {
        "issuer": site.issuer,
        "jwks_uri": site.jwks,
        "authorization_endpoint": site.authorize,
        "token_endpoint": site.token,
        "introspection_endpoint": site.introspect,
        "revocation_endpoint": site.revoke,
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": SCOPES,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*METHODS, "none"],
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": [*METHODS, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "authorization_response_iss_parameter_supported": True,
    }


STYLE = {
    "color_background": "#14171b",
    "color_error": "#ff8a80",
    "color_highlight": "#7cbcff",
    "color_modal_backdrop": "#0e1114",
    "color_success": "#7fd6a1",
    "color_text": "#e8ebef",
    "dim_border_radius": "6px",
    "dim_font_size": "14px",
    "dim_spacing_size": "12px",
    "font_family_body": "system-ui, 'Noto Sans', 'Noto Sans SC', sans-serif",
    "font_family_heading": "system-ui, 'Noto Sans', 'Noto Sans SC', sans-serif",
}
"""Those of web/static/page.css (SMART App Launch 2.2.0, smart_style_url)."""
