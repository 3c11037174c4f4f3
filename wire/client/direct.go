package client

// writeNow writes the first request in a while, with which none can share a write, on the caller's goroutine: that saves
// the wait for another. It does not block; what the kernel doesn't take at once is left to flush. It is called with the
// lock held and releases it.
func (c *Conn) writeNow() {
	c.flushing = true
	c.running.Add(1)
	c.fill()
	c.mu.Unlock()
	c.wrote = c.raw.WriteNow(c.out)
	c.mu.Lock()
	if c.err == nil && c.wrote == len(c.out) && c.queue.First() == nil {
		c.flushing = false
		c.running.Done()
	} else {
		go func() {
			defer c.running.Done()
			c.flush()
		}()
	}
	c.mu.Unlock()
}
