package httpd

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// A rushed listener always has a connection waiting.
type rushed struct{}

func (rushed) Accept() (net.Conn, error) {
	c, _ := net.Pipe()
	return c, nil
}

func (rushed) Close() error   { return nil }
func (rushed) Addr() net.Addr { return &net.TCPAddr{} }

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit(rushed{}, 2)
		accepted := make(chan net.Conn, 10)
		failed := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					failed <- err
					return
				}
				accepted <- c
			}
		}()
		synctest.Wait()
		if len(accepted) != 2 {
			t.Fatalf("%d connections were accepted at once", len(accepted))
		}
		first := <-accepted
		first.Close()
		first.Close()
		synctest.Wait()
		if len(accepted) != 2 {
			t.Errorf("%d connections are open after one was closed twice", len(accepted))
		}
		l.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept returned %v after Close", err)
		}
	})
}
