package proxy

import "time"

// A Status is the state of the proxy and its servers. It contains no session data.
type Status struct {
	Servers []ServerStatus `json:"servers"` // in order of preference
	Refused uint64         `json:"refused"` // requests answered DISCONNECTED because no server took them
	Again   uint64         `json:"again"`   // requests sent once more, to another server or on another connection
	Unknown uint64         `json:"unknown"` // writes answered DISCONNECTED because their fate is unknown
}

// A ServerStatus is the state of one server.
type ServerStatus struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Since    time.Time `json:"since"` // of State
	Used     bool      `json:"used"`
	InFlight int       `json:"in_flight"`
	Error    string    `json:"error,omitempty"` // why it is down
}

// Status returns the present state. Any goroutine may call it.
func (p *Proxy) Status() Status {
	s := Status{Refused: p.refused.Load(), Again: p.retried.Load(), Unknown: p.unknown.Load()}
	p.mu.Lock()
	defer p.mu.Unlock()
	current := p.current.Load()
	for _, u := range p.upstreams {
		one := ServerStatus{Name: u.server.Name, State: u.state, Since: u.since}
		if u.link != nil {
			one.Used = u.link == current
			one.InFlight = u.link.inFlight()
		} else if u.err != nil {
			one.Error = u.err.Error()
		}
		s.Servers = append(s.Servers, one)
	}
	return s
}
