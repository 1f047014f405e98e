"""Every address that the issuer answers at."""

from aiohttp import web

from issuer.endpoints import (
    admin_clients,
    admin_config,
    admin_keys,
    admin_revocations,
    admin_users,
    authorize,
    consent,
    events,
    health,
    introspection,
    login,
    logout,
    metadata,
    metrics,
    pages,
    revocation,
    snapshot,
    token,
)


def add_routes(app: web.Application) -> None:
    """Tell the application which handler answers where."""
    app.add_routes(
        [
            web.post("/oauth2/token", token.token),
            web.post("/oauth2/revoke", revocation.revoke),
            web.post("/oauth2/introspect", introspection.introspect),
            web.get("/oauth2/authorize", authorize.authorize, allow_head=False),
            web.post("/oauth2/authorize", authorize.authorize_by_form),
            web.get("/oauth2/continue", authorize.resume, allow_head=False),
            web.post("/oauth2/login", login.login),
            web.post("/oauth2/consent", consent.consent),
            web.get("/oauth2/logout", logout.logout, allow_head=False),
            web.post("/oauth2/logout", logout.logout_by_form),
            web.get("/oauth2/pages/{name}", pages.stylesheet),
            web.get("/.well-known/oauth-authorization-server", metadata.metadata),
            web.get("/.well-known/jwks.json", metadata.jwks),
            web.post("/admin/v1/revocations", admin_revocations.create),
            web.get("/admin/v1/revocations", admin_revocations.list_all),
            web.get("/admin/v1/revocations/{id}", admin_revocations.show),
            web.post("/admin/v1/revocations/{id}/lift", admin_revocations.lift),
            web.get("/admin/v1/keys", admin_keys.list_all),
            web.post("/admin/v1/keys/rotate", admin_keys.rotate),
            web.post("/admin/v1/keys/{kid}/revoke", admin_keys.revoke),
            web.post("/admin/v1/users/{username}/disable", admin_users.disable),
            web.post("/admin/v1/users/{username}/enable", admin_users.enable),
            web.post("/admin/v1/clients/{client_id}/disable", admin_clients.disable),
            web.post("/admin/v1/clients/{client_id}/enable", admin_clients.enable),
            web.post("/admin/v1/clients/{client_id}/delete", admin_clients.delete),
            web.get("/admin/v1/config", admin_config.show),
            web.get("/events", events.events, allow_head=False),
            web.get("/snapshot", snapshot.snapshot, allow_head=False),
            web.get("/livez", health.livez),
            web.get("/readyz", health.readyz),
            web.get("/metrics", metrics.metrics),
        ]
    )
