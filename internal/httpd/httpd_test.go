package httpd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
)

// serve serves on a unix socket and TCP.
func serve(t *testing.T, handler http.Handler) map[string]string {
	t.Helper()
	s := New(handler, slog.New(slog.DiscardHandler), 10*time.Second)
	at := make(map[string]string)
	for _, network := range []string{"unix", "tcp"} {
		l := testutil.Listen(t, network)
		at[network] = l.Addr().String()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		t.Cleanup(func() {
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return at
}

func get(t *testing.T, network, at, path string) (int, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, at)
		}}}
	r, err := client.Get("http://127.0.0.1" + path)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

// Clients that open connections and send nothing, or half a request, or no second request, keep nobody else out.
func TestManyIdleConnections(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for what, sent := range map[string]string{
			"silent":      "",
			"half-open":   "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
			"idle after":  "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
			"half a body": "POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nabc",
		} {
			t.Run(network+" "+what, func(t *testing.T) {
				at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.WriteString(w, "ok")
				}))
				for range 5 * maxConns {
					c, err := net.Dial(network, at[network])
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					io.WriteString(c, sent)
				}
				for range 10 {
					if code, err := get(t, network, at[network], "/healthz"); err != nil || code != http.StatusOK {
						t.Fatalf("%d, %v", code, err)
					}
				}
			})
		}
	}
}

// When many requests are being answered, others are refused, but health checks and metrics are answered.
func TestManyRequests(t *testing.T) {
	begun, end := make(chan struct{}, 2*maxConns), make(chan struct{})
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			begun <- struct{}{}
			<-end
		}
	}))["tcp"]
	ended := make(chan string, maxBusy)
	for range maxBusy {
		go func() {
			code, err := get(t, "tcp", at, "/long")
			ended <- fmt.Sprint(code, err)
		}()
	}
	for range maxBusy {
		<-begun
	}
	for path, want := range map[string]int{
		"/v1/status": http.StatusServiceUnavailable, "/healthz": 200, "/readyz": 200, "/metrics": 200,
	} {
		if code, err := get(t, "tcp", at, path); err != nil || code != want {
			t.Errorf("%s: %d, %v; want %d", path, code, err, want)
		}
	}
	close(end)
	for range maxBusy {
		if got := <-ended; !strings.HasPrefix(got, "200") {
			t.Errorf("a request that was being answered: %s", got)
		}
	}
	if code, err := get(t, "tcp", at, "/v1/status"); err != nil || code != http.StatusOK {
		t.Errorf("afterwards: %d, %v", code, err)
	}
}
