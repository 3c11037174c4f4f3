package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// A Client is a Store like those it talks to: what takes one takes the other.
var _ store.Store = (*client.Client)(nil)

// serve runs a server in this process, in place of one elsewhere.
func serve() (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	store := store.NewMemory(1000)
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		panic(err)
	}
	go s.Serve(l)
	return "IP:" + l.Addr().String(), func() { s.Close(); store.Close() }
}

func Example() {
	address, stop := serve()
	defer stop()

	// One client serves the whole program, from any number of goroutines.
	c, err := client.Dial(address, client.WithTimeout(10*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx := context.Background()
	id, data := []byte("0123456789abcdef"), []byte("session data")

	fmt.Println("add:", c.Add(ctx, id, data, 5*time.Minute))

	// A session that is there is never replaced.
	err = c.Add(ctx, id, []byte("other data"), 5*time.Minute)
	fmt.Println("add again:", err, errors.Is(err, wire.MatchingSession))

	got, err := c.Get(ctx, id)
	fmt.Printf("get: %s %v\n", got, err)

	fmt.Println("have:", c.Have(ctx, id))
	fmt.Println("remove:", c.Remove(ctx, id))

	_, err = c.Get(ctx, id)
	fmt.Println("get:", err, errors.Is(err, wire.NotOK))

	// Output:
	// add: <nil>
	// add again: a session with that id exists true
	// get: session data <nil>
	// have: <nil>
	// remove: <nil>
	// get: no such session true
}

// What to make of an error.
func ExampleClient_errors() {
	c, err := client.New("IP:127.0.0.1:1") // where nobody listens
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	err = c.Remove(context.Background(), []byte("0123456789abcdef"))
	var answer wire.Status
	switch {
	case err == nil:
		fmt.Println("removed")
	case errors.As(err, &answer):
		fmt.Println("the server answered:", answer)
	case errors.Is(err, client.ErrNotSent):
		fmt.Println("nothing was sent: it can be tried elsewhere, or later")
	case errors.Is(err, client.ErrTimeout), errors.Is(err, client.ErrLost):
		fmt.Println("sent, and no answer: it may have been removed or not")
	}
	// Output: nothing was sent: it can be tried elsewhere, or later
}
