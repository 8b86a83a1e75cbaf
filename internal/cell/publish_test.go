// SPDX-License-Identifier: MIT

package cell

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/debfile"
)

// TestPlanClock: what no package can hold ends the plan, wherever it comes from.
func TestPlanClock(t *testing.T) {
	t.Parallel()
	whole := mustPlan(t, testSource(t, "foo", ""), testOptions(t))
	deb := mustDeb(t, whole)
	for _, tt := range []struct {
		seconds int64
		ok      bool
	}{{0, true}, {LastSecond, true}, {LastSecond + 1, false}, {-1, false}} {
		s := testSource(t, "foo", "")
		s.NewestFile = time.Unix(tt.seconds, 0)
		_, err := Plan(t.Context(), s, testTree(), testOptions(t))
		if (err == nil) != tt.ok || err != nil && !strings.HasPrefix(err.Error(), "foo: the time of the packages' files would be ") {
			t.Errorf("Plan() with the time %d: %v; ok %v", tt.seconds, err, tt.ok)
		}
		deb.ModTime = s.NewestFile
		_, err = whole.stage(deb, "x.deb") // debfile must agree
		if (err == nil) != tt.ok {
			t.Errorf("a package with the time %d: %v; ok %v", tt.seconds, err, tt.ok)
		}
	}
}

func mustDeb(t *testing.T, c *Cell) *debfile.Package {
	t.Helper()
	p := c.Package
	p.Modules, p.Compression = []bmdeb.Module{{Name: "foo", Suffix: ".ko", Size: 1, Open: oneByte}}, debfile.Zstd
	deb, err := p.Deb()
	if err != nil {
		t.Fatal(err)
	}
	return deb
}

func oneByte() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }

// TestLogs: where no new package is, there is no log of one, and that of an
// earlier package stays.
func TestLogs(t *testing.T) {
	t.Parallel()
	const stem = "foo-modules-6.1.0-9-amd64_1.0_amd64"
	lost := func() (io.ReadCloser, error) { return nil, errors.New("lost") }
	for _, tt := range []struct {
		name     string
		module   func() (io.ReadCloser, error)
		inTheWay string // a directory of that name
		want     string // what is there at the end, with the text of logs
	}{
		{"built", oneByte, "", stem + ".deb " + stem + ".json " + stem + ".log=new"},
		{"not written", lost, "", stem + ".failed.log=new " + stem + ".log=old"},
		{"not put in place", oneByte, stem + ".deb", stem + ".deb " + stem + ".failed.log=new"},
		{"an earlier record stays", oneByte, stem + ".json", stem + ".failed.log=new " + stem + ".json"},
	} {
		c := mustPlan(t, testSource(t, "foo", ""), testOptions(t))
		c.result = &Result{}
		out := c.opts.Output
		err := errors.Join(os.MkdirAll(c.workDir(), 0o755), os.WriteFile(c.workLog(), []byte("new"), 0o644),
			os.WriteFile(filepath.Join(out, stem+".log"), []byte("old"), 0o644))
		if tt.inTheWay != "" {
			err = errors.Join(err, os.MkdirAll(filepath.Join(out, tt.inTheWay, "x"), 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
		p := &packing{Package: c.Package, record: &Result{Status: Built}}
		p.Modules = []bmdeb.Module{{Name: "foo", Suffix: ".ko", Size: 1, Open: tt.module}}
		if err := c.publish(p); err != nil {
			p.record.fail(errors.Join(err, c.failLog(p.record)))
		} else {
			c.complete(p.record)
		}
		var got []string
		for name := range strings.FieldsSeq(list(t, out)) {
			if strings.HasSuffix(name, ".log") {
				text, err := os.ReadFile(filepath.Join(out, name))
				if err != nil {
					t.Fatal(err)
				}
				name += "=" + string(text)
			}
			got = append(got, name)
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s: %s; want %s (%v)", tt.name, got, tt.want, p.record.Err)
		}
	}
}
