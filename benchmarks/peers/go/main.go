// Reads a work order (see benchmarks/peers/programs.py) and prints how long golang-jwt takes, as JSON.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const library = "github.com/golang-jwt/jwt/v5"

type order struct {
	Issuer     string      `json:"issuer"`
	Audience   string      `json:"audience"`
	Seconds    float64     `json:"seconds"`
	Algorithms []algorithm `json:"algorithms"`
}

type algorithm struct {
	Alg    string            `json:"alg"`
	Jwk    map[string]string `json:"jwk"`
	Tokens []string          `json:"tokens"`
	Bad    map[string]string `json:"bad"`
}

type rate struct {
	Peer         string  `json:"peer"`
	Version      string  `json:"version"`
	Alg          string  `json:"alg"`
	Name         string  `json:"name"`
	Microseconds float64 `json:"microseconds"`
}

// claims are those of an access token (RFC 9068).
type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Rsq      int64  `json:"rsq"`
}

func main() {
	runtime.GOMAXPROCS(1) // one core, as the others have
	var work order
	text, err := os.ReadFile(os.Args[1])
	orExit(err)
	orExit(json.Unmarshal(text, &work))
	rates := []rate{}
	for _, algorithm := range work.Algorithms {
		microseconds, err := measure(work, algorithm)
		orExit(err)
		rates = append(rates, rate{"golang-jwt", version(), algorithm.Alg, "cold", microseconds})
	}
	orExit(json.NewEncoder(os.Stdout).Encode(map[string]any{"runtime": "Go " + runtime.Version()[2:], "rates": rates}))
}

func measure(work order, of algorithm) (float64, error) {
	key, err := publicKey(of.Jwk)
	if err != nil {
		return 0, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{of.Alg}),
		jwt.WithIssuer(work.Issuer),
		jwt.WithAudience(work.Audience),
		jwt.WithExpirationRequired(),
	)
	keyOf := func(*jwt.Token) (any, error) { return key, nil }
	verify := func(token string) error {
		_, err := parser.ParseWithClaims(token, &claims{}, keyOf)
		return err
	}
	if err := check(verify, of); err != nil {
		return 0, err
	}
	calls, start := 0, time.Now()
	for time.Since(start).Seconds() < work.Seconds {
		for _, token := range of.Tokens {
			if err := verify(token); err != nil {
				return 0, err
			}
		}
		calls += len(of.Tokens)
	}
	return 1e6 * time.Since(start).Seconds() / float64(calls), nil
}

func check(verify func(string) error, of algorithm) error {
	for _, token := range of.Tokens {
		if err := verify(token); err != nil {
			return err
		}
	}
	for what, token := range of.Bad {
		if verify(token) == nil {
			return fmt.Errorf("golang-jwt accepts %s", what)
		}
	}
	return nil
}

func publicKey(jwk map[string]string) (crypto.PublicKey, error) {
	member := func(name string) *big.Int {
		bytes, err := base64.RawURLEncoding.DecodeString(jwk[name])
		orExit(err)
		return new(big.Int).SetBytes(bytes)
	}
	switch jwk["kty"] {
	case "RSA":
		return &rsa.PublicKey{N: member("n"), E: int(member("e").Int64())}, nil
	case "EC":
		return &ecdsa.PublicKey{Curve: elliptic.P256(), X: member("x"), Y: member("y")}, nil
	case "OKP":
		return ed25519.PublicKey(member("x").FillBytes(make([]byte, ed25519.PublicKeySize))), nil
	}
	return nil, fmt.Errorf("no key of kind %q", jwk["kty"])
}

func version() string {
	information, _ := debug.ReadBuildInfo()
	for _, dependency := range information.Deps {
		if dependency.Path == library {
			return dependency.Version[1:]
		}
	}
	return ""
}

func orExit(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
