"""Every address that the issuer answers at."""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from issuer.endpoints import (
    admin_agents,
    admin_clients,
    admin_config,
    admin_keys,
    admin_revocations,
    admin_users,
    agents,
    authorize,
    consent,
    cross_origin,
    device,
    device_authorization,
    events,
    global_revocation,
    health,
    introspection,
    login,
    logout,
    metadata,
    metrics,
    openapi,
    pages,
    revocation,
    snapshot,
    token,
    userinfo,
)

METADATA: Final = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"


def add_routes(app: web.Application) -> None:
    """Tell the application which handler answers where."""
    app.add_routes(
        [
            web.post("/oauth2/token", token.token),
            web.post("/oauth2/revoke", revocation.revoke),
            web.post("/oauth2/introspect", introspection.introspect),
            web.post("/oauth2/global-token-revocation", global_revocation.revoke_all),
            web.get("/oauth2/userinfo", userinfo.userinfo),
            web.post("/oauth2/userinfo", userinfo.userinfo),
            web.options("/oauth2/userinfo", cross_origin.preflight),
            web.get(METADATA, metadata.metadata),
            web.get(OPENID_CONFIGURATION, metadata.openid_configuration),
            web.get("/oauth2/authorize", authorize.authorize, allow_head=False),
            web.post("/oauth2/authorize", authorize.authorize_by_form),
            web.get("/oauth2/continue", authorize.resume, allow_head=False),
            web.post("/oauth2/login", login.login),
            web.post("/oauth2/consent", consent.consent),
            web.post("/oauth2/device_authorization", device_authorization.device_authorization),
            web.get("/oauth2/device", device.device, allow_head=False),
            web.post("/oauth2/device", device.entered),
            web.post("/oauth2/device/decision", device.decided),
            web.get("/oauth2/logout", logout.logout, allow_head=False),
            web.post("/oauth2/logout", logout.logout_by_form),
            web.get("/oauth2/pages/{name}", pages.stylesheet),
            web.get("/.well-known/jwks.json", metadata.jwks),
            web.post("/admin/v1/revocations", admin_revocations.create),
            web.get("/admin/v1/revocations", admin_revocations.list_all),
            web.get("/admin/v1/revocations/{id}", admin_revocations.show),
            web.post("/admin/v1/revocations/{id}/lift", admin_revocations.lift),
            web.get("/admin/v1/keys", admin_keys.list_all),
            web.post("/admin/v1/keys/rotate", admin_keys.rotate),
            web.post("/admin/v1/keys/{kid}/revoke", admin_keys.revoke),
            web.get("/admin/v1/revocations/{id}/receipts", admin_agents.revocation_receipts),
            web.get("/admin/v1/keys/receipts/{id}", admin_agents.key_receipts),
            web.get("/admin/v1/agents", admin_agents.list_all),
            web.post("/admin/v1/agents/{id}/remove", admin_agents.remove),
            web.post("/agents", agents.enrol),
            web.post("/agents/status", agents.status),
            web.post("/admin/v1/users/{username}/disable", admin_users.disable),
            web.post("/admin/v1/users/{username}/enable", admin_users.enable),
            web.post("/admin/v1/users/{username}/delete", admin_users.delete),
            web.post("/admin/v1/clients/{client_id}/disable", admin_clients.disable),
            web.post("/admin/v1/clients/{client_id}/enable", admin_clients.enable),
            web.post("/admin/v1/clients/{client_id}/delete", admin_clients.delete),
            web.get("/admin/v1/config", admin_config.show),
            web.get("/admin/v1/openapi.json", openapi.openapi),
            web.get("/events", events.events, allow_head=False),
            web.get("/snapshot", snapshot.snapshot, allow_head=False),
            web.get("/livez", health.livez),
            web.get("/readyz", health.readyz),
            web.get("/metrics", metrics.metrics),
        ]
    )


def add_routes_below(app: web.Application, issuer: str) -> None:
    """Have everything again below the path of an issuer's identifier, where it has one: there its metadata point to.

    Its metadata are also where the path comes last: there RFC 8414 section 3.1 has them, and by section 5 clients look
    for those of OpenID Connect there too, which by Discovery section 4 are below the path.
    """
    path = urlsplit(issuer).path
    if not path:
        return
    for resource in list(app.router.resources()):
        for route in resource:
            app.router.add_route(route.method, path + resource.canonical, route.handler)
    app.add_routes(
        [
            web.get(METADATA + path, metadata.metadata),
            web.get(OPENID_CONFIGURATION + path, metadata.openid_configuration),
        ]
    )
