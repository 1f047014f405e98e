// `node server.mjs ALG`: oidc-provider with one client and JWT access tokens; says its port and its client on one line.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import Provider from "oidc-provider";

const alg = process.argv[2];
const issuer = "http://127.0.0.1:8080";
const resource = "https://demo-api.example";
const scope = "demo:read demo:write";
const kinds = { ES256: ["ec", { namedCurve: "P-256" }], RS256: ["rsa", { modulusLength: 2048 }] };
const { privateKey } = generateKeyPairSync(...kinds[alg]);
const client = { client_id: "demo", client_secret: randomBytes(32).toString("base64url") };

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid: "one" }] },
  clients: [
    {
      ...client,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      scope,
      id_token_signed_response_alg: alg, // it is given none, but there must be a key for it
    },
  ],
  cookies: { keys: [randomBytes(32).toString("base64url")] },
  scopes: scope.split(" "),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({
        scope,
        audience: resource,
        accessTokenTTL: 900,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg } },
      }),
    },
  },
  routes: { token: "/oauth2/token" },
});

const server = provider.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port, ...client }));
});
process.on("SIGTERM", () => process.exit(0));
