package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// exposed is what scrapes of all kinds of process have: the labels of each sample, by the sample's name.
func exposed(t *testing.T) map[string][]map[string]string {
	t.Helper()
	samples := map[string][]map[string]string{"up": {{}}} // Prometheus adds this metric for every target
	for line := range strings.Lines(scrape(t, serverRegistry(t)) + scrape(t, proxyRegistry(t))) {
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = l[3]
		}
		samples[m[1]] = append(samples[m[1]], labels)
	}
	return samples
}

var (
	sample   = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)
	label    = regexp.MustCompile(`([a-z]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	selector = regexp.MustCompile(`\b((?:distcache|go|process)_[a-z_]+|up)(?:\{([^}]*)\})?`)
	by       = regexp.MustCompile(`\b(?:by|on|group_right|group_left) \(([^)]*)\)`)
)

// scraper are the labels that Prometheus adds.
var scraper = []string{"job", "instance", "le"}

// check compares an expression with what is exposed, and reports what is wrong with the expression.
func check(report func(format string, args ...any), where, expr string, samples map[string][]map[string]string) {
	known := slices.Clone(scraper)
	found := false
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		found = true
		have := samples[m[1]]
		if len(have) == 0 {
			report("%s: there is no metric %s", where, m[1])
			continue
		}
		for name := range have[0] {
			known = append(known, name)
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			has := func(labels map[string]string) bool { return matches(labels, l) }
			if !slices.Contains(scraper, l[1]) && !slices.ContainsFunc(have, has) {
				report("%s: no %s has %s", where, m[1], l[0])
			}
		}
	}
	if !found {
		report("%s: %q names no metric of ours", where, expr)
	}
	for _, m := range by.FindAllStringSubmatch(expr, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(known, name) {
				report("%s: nothing in it has a label %s", where, name)
			}
		}
	}
}

// matches tells whether a sample's labels satisfy a matcher.
func matches(labels map[string]string, matcher []string) bool {
	value, ok := labels[matcher[1]]
	if !ok {
		return false
	}
	if strings.HasSuffix(matcher[2], "~") {
		return regexp.MustCompile("^(?:" + matcher[3] + ")$").MatchString(value)
	}
	return value == matcher[3]
}

func TestAlertsNameMetricsThatExist(t *testing.T) {
	b, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	samples := exposed(t)
	rules := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			check(t.Errorf, r.Alert, r.Expr, samples)
			if r.Alert == "" || r.Labels["severity"] == "" ||
				r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %q lacks a severity, a summary or a description", r.Alert)
			}
		}
	}
	if rules == 0 {
		t.Error("there are no rules")
	}
}

func TestDashboardNamesMetricsThatExist(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Name string } }
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	samples := exposed(t)
	ids := map[int]bool{}
	queries := 0
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has another's id", p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q reaches over the edge", p.Title)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for i, target := range p.Targets {
			queries++
			check(t.Errorf, fmt.Sprintf("panel %q, query %d", p.Title, i+1), target.Expr, samples)
		}
	}
	if queries == 0 {
		t.Error("there are no queries")
	}
}

// The check finds mistakes.
func TestCheckFindsMistakes(t *testing.T) {
	samples := map[string][]map[string]string{"distcache_x": {{"role": "leader"}}, "up": {{}}}
	for expr, good := range map[string]bool{
		`distcache_x{role="leader"}`:                    true,
		`sum by (role) (distcache_x{role=~"a|leader"})`: true,
		`distcache_y`:                                    false,
		`distcache_x{role="boss"}`:                       false,
		`distcache_x{rank="leader"}`:                     false,
		`sum by (rank) (distcache_x)`:                    false,
		`up{role="leader"}`:                              false,
		`up{job="distcache"}`:                            true,
		`max by (job) (distcache_x{job=~"$job"}) > 0.01`: true,
	} {
		mistakes := 0
		check(func(string, ...any) { mistakes++ }, "", expr, samples)
		if good != (mistakes == 0) {
			t.Errorf("%s: %d mistakes found", expr, mistakes)
		}
	}
}
