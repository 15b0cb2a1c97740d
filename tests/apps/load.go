// SPDX-License-Identifier: ISC

// bare.c's answers by net/http/fcgi: a goroutine for each request.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/fcgi"
	"os"
	"strings"
	"time"
)

func answer(w http.ResponseWriter, r *http.Request) {
	var token string
	var ms, size int

	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fmt.Sscan(r.URL.RawQuery, &token, &ms, &size)
	time.Sleep(time.Duration(ms) * time.Millisecond)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %d\n%s", token, os.Getpid(),
		strings.Repeat("x", size))
	w.Write(body)
}

func main() {
	log.Fatal(fcgi.Serve(nil, http.HandlerFunc(answer)))
}
