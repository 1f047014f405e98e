// golang.org/x/oauth2, used as its examples use it. Reads its order from a file. Says `go ADDRESS` where it would send a
// browser, and reads where that came back to; says `device ADDRESS` where a person is to go, and reads a line when they are
// back; says `done STEP` after each step. Anything that is not right ends it.
// What the library does not do (discovery, introspection, revocation, verification) stands here, with the standard library.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type client struct {
	ID          string `json:"client_id"`
	Secret      string `json:"client_secret"`
	RedirectURI string `json:"redirect_uri"`
}

type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	Device        string `json:"device_authorization_endpoint"`
}

func main() {
	var order struct {
		Issuer, Audience, Name string
		Web, Robot, Device     client
	}
	text, err := os.ReadFile(os.Args[1])
	check(err)
	check(json.Unmarshal(text, &order))
	ctx := context.Background()

	var as metadata
	get(http.DefaultClient, order.Issuer+"/.well-known/oauth-authorization-server", &as)
	get(http.DefaultClient, order.Issuer+"/.well-known/openid-configuration", &as)
	must(as.Issuer == order.Issuer, "issuer")
	done("discovery")

	robot := clientcredentials.Config{ClientID: order.Robot.ID, ClientSecret: order.Robot.Secret, TokenURL: as.Token,
		Scopes: []string{"orders:read"}}
	own, err := robot.Token(ctx)
	check(err)
	done("client_credentials")
	must(verified(as.Keys, own.AccessToken)["client_id"] == order.Robot.ID, "client_id")
	done("verification")

	robot.EndpointParams = url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {own.AccessToken},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	exchanged, err := robot.Token(ctx)
	check(err)
	must(verified(as.Keys, exchanged.AccessToken)["act"] != nil, "act")
	done("token_exchange")

	web := oauth2.Config{ClientID: order.Web.ID, ClientSecret: order.Web.Secret, RedirectURL: order.Web.RedirectURI,
		Scopes:   []string{"openid", "profile", "orders:read"},
		Endpoint: oauth2.Endpoint{AuthURL: as.Authorization, TokenURL: as.Token}}
	verifier := oauth2.GenerateVerifier()
	fmt.Println("go", web.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier)))
	answers := bufio.NewReader(os.Stdin)
	line, err := answers.ReadString('\n')
	check(err)
	back, err := url.Parse(strings.TrimSpace(line))
	check(err)
	must(back.Query().Get("state") == "a state" && back.Query().Get("iss") == as.Issuer, "state or iss")
	token, err := web.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	check(err)
	verified(as.Keys, token.AccessToken)
	verified(as.Keys, token.Extra("id_token").(string))
	done("authorization_code")

	var user struct{ Name string }
	get(web.Client(ctx, token), as.UserInfo, &user)
	must(user.Name == order.Name, "name")
	done("userinfo")

	renewed, err := web.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	check(err)
	must(renewed.RefreshToken != token.RefreshToken, "the refresh token is the same")
	done("refresh_token")

	active := func() bool {
		var said struct{ Active bool }
		check(json.Unmarshal(post(as.Introspection, order.Web, renewed.AccessToken), &said))
		return said.Active
	}
	must(active(), "the token is not active")
	done("introspection")

	post(as.Revocation, order.Web, renewed.RefreshToken)
	must(!active(), "the token is still active")
	_, err = web.TokenSource(ctx, &oauth2.Token{RefreshToken: renewed.RefreshToken}).Token()
	var refused *oauth2.RetrieveError
	must(errors.As(err, &refused) && refused.ErrorCode == "invalid_grant", "the refresh token is still good")
	done("revocation")

	device := oauth2.Config{ClientID: order.Device.ID, Scopes: []string{"orders:read"}, Endpoint: oauth2.Endpoint{
		DeviceAuthURL: as.Device, TokenURL: as.Token, AuthStyle: oauth2.AuthStyleInParams}}
	codes, err := device.DeviceAuth(ctx)
	check(err)
	fmt.Println("device", codes.VerificationURIComplete)
	_, err = answers.ReadString('\n')
	check(err)
	letIn, err := device.DeviceAccessToken(ctx, codes)
	check(err)
	verified(as.Keys, letIn.AccessToken)
	done("device_code")
}

// verified gives the claims of a token whose ES256 signature is by one of the keys.
func verified(keys, token string) map[string]any {
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	get(http.DefaultClient, keys, &set)
	parts := strings.Split(token, ".")
	must(len(parts) == 3, "no token")
	var header struct{ Kid, Alg string }
	check(json.Unmarshal(decoded(parts[0]), &header))
	must(header.Alg == "ES256", "alg")
	signature, digest := decoded(parts[2]), sha256.Sum256([]byte(parts[0]+"."+parts[1]))
	for _, key := range set.Keys {
		if key.Kid == header.Kid {
			public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(decoded(key.X)), Y: number(decoded(key.Y))}
			must(ecdsa.Verify(&public, digest[:], number(signature[:32]), number(signature[32:])), "signature")
			var claims map[string]any
			check(json.Unmarshal(decoded(parts[1]), &claims))
			return claims
		}
	}
	log.Fatal("no key ", header.Kid)
	return nil
}

func number(bytes []byte) *big.Int { return new(big.Int).SetBytes(bytes) }

func decoded(part string) []byte {
	bytes, err := base64.RawURLEncoding.DecodeString(part)
	check(err)
	return bytes
}

func get(by *http.Client, address string, into any) {
	response, err := by.Get(address)
	check(err)
	defer response.Body.Close()
	must(response.StatusCode == 200, response.Status)
	check(json.NewDecoder(response.Body).Decode(into))
}

func post(address string, by client, token string) []byte {
	request, err := http.NewRequest("POST", address, strings.NewReader(url.Values{"token": {token}}.Encode()))
	check(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(by.ID), url.QueryEscape(by.Secret))
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	must(response.StatusCode == 200, response.Status)
	var body json.RawMessage
	if json.NewDecoder(response.Body).Decode(&body) != nil {
		return nil // a revocation is answered without a body
	}
	return body
}

func done(step string) { fmt.Println("done", step) }

func must(holds bool, what string) {
	if !holds {
		log.Fatal(what)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
