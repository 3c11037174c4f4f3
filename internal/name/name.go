// Package name has the rule for names of nodes, clusters and machines, which stand in files, flags, certificates and
// log lines.
package name

import "regexp"

// Rule is the rule in words, for messages.
const Rule = "1 to 64 letters, digits, '.', '_' and '-'"

var valid = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Valid tells whether a name is one by the rule.
func Valid(s string) bool { return valid.MatchString(s) }
