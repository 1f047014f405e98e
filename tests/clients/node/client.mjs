// oauth4webapi, used as its examples use it. Reads its order from a file. Says `go ADDRESS` where it would send a browser,
// and reads where that came back to; says `device ADDRESS` where a person is to go, and reads a line when they are back; says
// `done STEP` after each step. Anything that is not right ends it.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import * as oauth from "oauth4webapi";

const order = JSON.parse(readFileSync(process.argv[2], "utf8"));
const issuer = new URL(order.issuer);
const insecure = { [oauth.allowInsecureRequests]: true }; // the issuer of a test is on loopback
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const done = (step) => console.log(`done ${step}`);
const must = (holds, what) => {
  if (!holds) throw new Error(what);
};

const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
await oauth.processDiscoveryResponse(issuer, found);
const provider = await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...insecure });
const as = await oauth.processDiscoveryResponse(issuer, provider);
done("discovery");

const robot = { client_id: order.robot.client_id };
const robotAuth = oauth.ClientSecretPost(order.robot.client_secret);
const own = await oauth.processClientCredentialsResponse(
  as,
  robot,
  await oauth.clientCredentialsGrantRequest(as, robot, robotAuth, { scope: "orders:read" }, insecure),
);
must(own.scope === "orders:read", `scope ${own.scope}`);

const signing = { client_id: order.signing.client_id };
const usage = { name: "ECDSA", namedCurve: "P-256" };
const key = await crypto.subtle.importKey("jwk", { ...order.signing.jwk, use: undefined }, usage, false, ["sign"]);
const signed = oauth.PrivateKeyJwt({ key, kid: order.signing.jwk.kid });
await oauth.processClientCredentialsResponse(
  as,
  signing,
  await oauth.clientCredentialsGrantRequest(as, signing, signed, {}, insecure),
);
done("client_credentials");

const verified = async (token) => {
  const request = new Request("http://service.example/", { headers: { Authorization: `Bearer ${token}` } });
  return oauth.validateJwtAccessToken(as, request, order.audience, insecure);
};
const ownClaims = await verified(own.access_token);
must(ownClaims.client_id === robot.client_id, "client_id");
done("verification");

const about = { subject_token: own.access_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token" };
const exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
const exchanged = await oauth.processGenericTokenEndpointResponse(
  as,
  robot,
  await oauth.genericTokenEndpointRequest(as, robot, robotAuth, exchange, about, insecure),
);
must((await verified(exchanged.access_token)).act.sub === robot.client_id, "act");
done("token_exchange");

const web = { client_id: order.web.client_id };
const auth = oauth.ClientSecretBasic(order.web.client_secret);
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const address = new URL(as.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: web.client_id,
  redirect_uri: order.web.redirect_uri,
  response_type: "code",
  scope: "openid profile orders:read",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
  nonce,
}).toString();
console.log(`go ${address}`);
const back = new URL((await answers.next()).value);
const parameters = oauth.validateAuthResponse(as, web, back, state);
const tokens = await oauth.processAuthorizationCodeResponse(
  as,
  web,
  await oauth.authorizationCodeGrantRequest(as, web, auth, parameters, order.web.redirect_uri, verifier, insecure),
  { expectedNonce: nonce, requireIdToken: true },
);
await verified(tokens.access_token);
done("authorization_code");

const user = await oauth.processUserInfoResponse(
  as,
  web,
  oauth.getValidatedIdTokenClaims(tokens).sub,
  await oauth.userInfoRequest(as, web, tokens.access_token, insecure),
);
must(user.name === order.name, `name ${user.name}`);
done("userinfo");

const renewed = await oauth.processRefreshTokenResponse(
  as,
  web,
  await oauth.refreshTokenGrantRequest(as, web, auth, tokens.refresh_token, insecure),
);
must(renewed.refresh_token !== tokens.refresh_token, "the refresh token is the same");
done("refresh_token");

const active = async (token) =>
  (await oauth.processIntrospectionResponse(as, web, await oauth.introspectionRequest(as, web, auth, token, insecure)))
    .active;
must(await active(renewed.access_token), "the token is not active");
done("introspection");

await oauth.processRevocationResponse(await oauth.revocationRequest(as, web, auth, renewed.refresh_token, insecure));
must(!(await active(renewed.access_token)), "the token is still active");
try {
  await oauth.processRefreshTokenResponse(
    as,
    web,
    await oauth.refreshTokenGrantRequest(as, web, auth, renewed.refresh_token, insecure),
  );
  must(false, "the refresh token is still good");
} catch (error) {
  must(error instanceof oauth.ResponseBodyError && error.error === "invalid_grant", String(error));
}
done("revocation");

const device = { client_id: order.device.client_id };
const codes = await oauth.processDeviceAuthorizationResponse(
  as,
  device,
  await oauth.deviceAuthorizationRequest(as, device, oauth.None(), { scope: "orders:read" }, insecure),
);
console.log(`device ${codes.verification_uri_complete}`);
await answers.next();
const letIn = await oauth.processDeviceCodeResponse(
  as,
  device,
  await oauth.deviceCodeGrantRequest(as, device, oauth.None(), codes.device_code, insecure),
);
await verified(letIn.access_token);
done("device_code");
process.exit(0);
