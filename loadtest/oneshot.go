package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A oneShot is a store that opens a connection for each request and closes it after the answer, as clients of a local
// proxy do. After a failure the next request goes to the next address. One goroutine may use it at a time.
type oneShot struct {
	addresses []wire.Address
	at        int // index of the address in use, modulo their number
	reader    *wire.Reader
	out       []byte
	answer    wire.Message
}

func newOneShot(addresses []wire.Address, at int) *oneShot {
	return &oneShot{addresses: addresses, at: at, reader: wire.NewReader(nil, wire.Responses)}
}

// do makes one request. The answer's payload is valid until the next request.
func (s *oneShot) do(ctx context.Context, op wire.Op, payload []byte) (answer []byte, err error) {
	defer func() {
		if err != nil {
			s.at++
		}
	}()
	nc, err := s.addresses[s.at%len(s.addresses)].Dial(ctx)
	if err != nil {
		return nil, shotError(client.ErrNotSent, err)
	}
	defer nc.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(deadline); err != nil {
			return nil, shotError(client.ErrNotSent, err)
		}
	}
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	const uid = 1
	s.out = wire.AppendMessage(s.out[:0], &wire.Message{UID: uid, Op: op, Payload: payload})
	if n, err := nc.Write(s.out); err != nil {
		if n == 0 {
			return nil, shotError(client.ErrNotSent, err)
		}
		return nil, shotError(client.ErrLost, err)
	}
	s.reader.Reset(nc)
	if err := s.reader.Read(&s.answer); err != nil {
		return nil, shotError(client.ErrLost, err)
	}
	if s.answer.UID != uid || s.answer.Op != op {
		return nil, fmt.Errorf("%w: %w: the answer is to another request", client.ErrLost, wire.ErrCorrupt)
	}
	return s.answer.Payload, nil
}

// shotError turns a connection's error into one of package client's.
func shotError(fate, err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &timeout) && timeout.Timeout() && fate == client.ErrNotSent:
		return fmt.Errorf("%w: %w: %w", client.ErrTimeout, fate, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", client.ErrTimeout, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: closed by the server without an answer", fate)
	}
	return fmt.Errorf("%w: %w", fate, err)
}

// Add, Get, Remove and Have make a oneShot a Store.
func (s *oneShot) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	return s.status(ctx, wire.OpAdd, wire.AppendAdd(nil, id, data, timeout))
}

func (s *oneShot) Get(ctx context.Context, id []byte) ([]byte, error) {
	answer, err := s.do(ctx, wire.OpGet, id)
	if err != nil {
		return nil, err
	}
	return wire.ParseGet(answer)
}

func (s *oneShot) Remove(ctx context.Context, id []byte) error {
	return s.status(ctx, wire.OpRemove, id)
}

func (s *oneShot) Have(ctx context.Context, id []byte) error {
	return s.status(ctx, wire.OpHave, id)
}

func (s *oneShot) status(ctx context.Context, op wire.Op, payload []byte) error {
	answer, err := s.do(ctx, op, payload)
	if err != nil {
		return err
	}
	return wire.ParseStatus(answer)
}
