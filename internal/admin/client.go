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
	"strings"

	"github.com/distcache/distcache/internal/httpd"
	"github.com/distcache/distcache/raftstore"
)

// maxAnswer bounds what a client reads of one answer, in bytes.
const maxAnswer = 4 << 20

var (
	// ErrUnreachable matches the error of a call when no connection could be made.
	ErrUnreachable = errors.New("cannot connect")
	// ErrNotAdmin matches the error of a call when whatever listens there did not answer like an admin listener.
	ErrNotAdmin = errors.New("not answered by an admin listener")

	errOther = fmt.Errorf("%w of dc_server", ErrNotAdmin)
	errProxy = fmt.Errorf("%w: dc_client is there", errOther)
)

const statusPath = "/v1/status"

// A Client makes calls to one node's admin listener, each bounded by its context. A call that the node refuses or
// fails returns an [Error].
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
func (c *Client) Status(ctx context.Context) (raftstore.Status, error) {
	var answer struct {
		raftstore.Status
		Servers json.RawMessage `json:"servers"` // only dc_client's status has this field
	}
	err := c.call(ctx, http.MethodGet, statusPath, nil, &answer)
	switch {
	case err != nil || answer.Role != "":
	case answer.Servers != nil:
		err = errProxy
	default:
		err = errOther
	}
	return answer.Status, err
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

// RemoveNode takes another node out of the cluster. Without force, a node that answers is not removed.
func (c *Client) RemoveNode(ctx context.Context, name string, force bool) error {
	return c.call(ctx, http.MethodPost, "/v1/remove", removeRequest{name, force}, nil)
}

// Transfer hands leadership to the named node, or to any if name is empty.
func (c *Client) Transfer(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/transfer", transferRequest{name}, nil)
}

// Grant lets the named node join the node's cluster, once, within an hour.
func (c *Client) Grant(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/grant", grantRequest{name}, nil)
}

// Compact returns the free space in the node's files to the file system. It may take minutes. The node goes on if the
// client goes away.
func (c *Client) Compact(ctx context.Context) (done raftstore.Compacted, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/compact", compactRequest{}, &done)
	return done, err
}

// Ready tells why the node can't serve its clients: empty when it can.
func (c *Client) Ready(ctx context.Context) (why string, err error) {
	resp, answer, err := c.do(ctx, http.MethodGet, "/readyz", nil)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode == http.StatusServiceUnavailable:
		return strings.TrimSpace(string(answer)), nil
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%w: /readyz says %s", ErrNotAdmin, resp.Status)
	}
	return "", nil
}

// do sends a request and reads the answer.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, transportError(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, transportError(ctx, err)
	}
	return resp, answer, nil
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
	resp, answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e := &Error{Code: resp.StatusCode}
		switch {
		case json.Unmarshal(answer, e) == nil && e.Message != "":
			return e
		case path != statusPath:
			if _, err := c.Status(ctx); errors.Is(err, errProxy) {
				return err
			}
		}
		return fmt.Errorf("%w: %s says %s", ErrNotAdmin, path, resp.Status)
	}
	if response == nil {
		return nil
	}
	if err := json.Unmarshal(answer, response); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmin, err)
	}
	return nil
}

// transportError drops the URL from an HTTP client's error: the operator gave an address, and never saw this URL.
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
