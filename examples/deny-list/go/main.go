// Whether a token has been revoked, by Tocsin's deny-list in Redis. Verify its signature and its times first.
//
//	go run . 127.0.0.1:6379 TOKEN [JTI]
//
// Redis' inline commands over a socket, so that there is nothing to install; in a service use your client's EXISTS.
package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const wait = 50 * time.Millisecond // a Redis that hangs must not hang the service
const failOpen = false             // whether to take tokens when Redis cannot say

// isRevoked goes by the signing input (all before the last dot, as a signature can be spelt in two ways) and the jti.
func isRevoked(address, token string, jti ...string) (bool, error) {
	var short, long string
	for _, text := range append(jti, token[:strings.LastIndex(token, ".")]) {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		short, long = short+" revoked:"+hash[:8], long+" revoked:"+hash[:16]
	}
	var level, first, decides int
	connection, err := net.DialTimeout("tcp", address, wait)
	if err == nil {
		defer connection.Close()
		connection.SetDeadline(time.Now().Add(wait))
		fmt.Fprintf(connection, "EXISTS revoked-level\r\nEXISTS%s\r\nEXISTS%s\r\n", short, long)
		_, err = fmt.Fscanf(bufio.NewReader(connection), ":%d\r\n:%d\r\n:%d\r\n", &level, &first, &decides)
	}
	if err == nil && level == 0 { // nobody keeps the list: that it is empty means nothing
		err = errors.New("the deny-list is not level")
	}
	if err != nil && failOpen {
		return false, nil
	}
	return first > 0 && decides > 0, err // the short name is shared by strangers: a first look; the long one decides
}

func main() {
	revoked, err := isRevoked(os.Args[1], os.Args[2], os.Args[3:]...)
	switch {
	case err != nil: // a service answers 503
		fmt.Fprintln(os.Stderr, "nobody can say:", err)
		os.Exit(1)
	case revoked:
		fmt.Println("revoked")
	default:
		fmt.Println("good")
	}
}
