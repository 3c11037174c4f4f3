package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/distcache/distcache/internal/httpd"
	"github.com/distcache/distcache/raftstore"
)

// maxAnswer bounds what a client reads of one answer, in bytes.
const maxAnswer = 4 << 20

var (
	// ErrUnreachable matches the error of a call when no connection could be made.
	ErrUnreachable = errors.New("cannot connect")
	// ErrNotAdmin matches the error of a call when something was there but did not answer like an admin listener.
	ErrNotAdmin = errors.New("not answered by an admin listener")
)

// A Client makes calls to one node's admin listener, each bounded by its context. What the node says against a call
// is an [Error].
type Client struct{ http *http.Client }

// NewClient returns a client that connects by dial.
func NewClient(dial func(ctx context.Context) (net.Conn, error)) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DisableCompression:     true,
		MaxResponseHeaderBytes: httpd.MaxHeader,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dial(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
			}
			return c, nil
		},
	}}}
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status is the node's own view of itself and its cluster.
func (c *Client) Status(ctx context.Context) (status raftstore.Status, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/status", nil, &status)
	if err == nil && status.Role == "" { // dc_client has a status too
		err = fmt.Errorf("%w of dc_server", ErrNotAdmin)
	}
	return status, err
}

// Members are the cluster's nodes as this one sees them.
func (c *Client) Members(ctx context.Context) (members []raftstore.Member, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/members", nil, &members)
	return members, err
}

// Join tells the node to join the cluster that the peers belong to, and with discard to give up its own sessions.
func (c *Client) Join(ctx context.Context, peers []string, discard bool) error {
	return c.call(ctx, http.MethodPost, "/v1/join", joinRequest{peers, discard}, nil)
}

// Leave tells the node to leave its cluster and stop.
func (c *Client) Leave(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/leave", leaveRequest{}, nil)
}

// RemoveNode has another node taken out of the cluster.
func (c *Client) RemoveNode(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/remove", removeRequest{name}, nil)
}

// Transfer has leadership handed to the named node, or to any if name is empty.
func (c *Client) Transfer(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/transfer", transferRequest{name}, nil)
}

// Compact makes the node's files as small as what is in them. It may take minutes, and goes on without its client.
func (c *Client) Compact(ctx context.Context) (done raftstore.Compacted, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/compact", compactRequest{}, &done)
	return done, err
}

func (c *Client) call(ctx context.Context, method, path string, request, response any) error {
	var body io.Reader
	if request != nil {
		b, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return transportError(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return transportError(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		e := &Error{Code: resp.StatusCode}
		if json.Unmarshal(answer, e) != nil || e.Message == "" {
			return fmt.Errorf("%w: %s says %s", ErrNotAdmin, path, resp.Status)
		}
		return e
	}
	if response == nil {
		return nil
	}
	if err := json.Unmarshal(answer, response); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmin, err)
	}
	return nil
}

// transportError drops the part of an HTTP client's error that names the URL, which is none the operator knows.
func transportError(ctx context.Context, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotAdmin, err)
}
