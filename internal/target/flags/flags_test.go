// SPDX-License-Identifier: MIT

package flags

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cli"
)

// parse reads a command line.
func parse(t *testing.T, env *cli.Env, args ...string) (*Options, error) {
	t.Helper()
	var o *Options
	var err error
	env.Args, env.Stdout, env.Stderr = args, t.Output(), t.Output()
	p := cli.Program{Name: "test", Flags: Flags(), Do: func(_ context.Context, c *ucli.Context, env *cli.Env) error {
		o, err = New(c, env)
		return nil
	}}
	if runErr := p.Run(t.Context(), env); runErr != nil {
		t.Fatal(runErr)
	}
	return o, err
}

func TestNew(t *testing.T) {
	o, err := parse(t, &cli.Env{Dir: "/here"}, "--headers", "a/../b", "--headers=/c", "--cache-dir=cache", "-aarm64", "--offline",
		"--apt-options", "-o Dir::Etc::SourceList='a b' -oX=$HOME", "--apt-options=--config-file=/f")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(o.Headers, " "); got != "/here/b /c" {
		t.Errorf("headers %q", got)
	}
	if want := []string{"-o", "Dir::Etc::SourceList=a b", "-oX=", "--config-file=/f"}; !slices.Equal(o.Apt, want) {
		t.Errorf("apt options %q; want %q", o.Apt, want)
	}
	if o.CacheDir != "/here/cache" || o.NoCache != nil || o.Arch != "arm64" || !o.Offline || o.ModulesRoot != "/lib/modules" {
		t.Errorf("options %+v", o)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--arch=../x", `--arch "../x": unknown architecture`},
		{"-anonsense", `--arch "nonsense": unknown architecture`},
		{"--arch=all", `--arch "all": unknown architecture`},
		{"--apt-options=update", `--apt-options "update": "update" is neither -o NAME=VALUE nor -c FILE`},
		{"--apt-options=-q", `--apt-options "-q": "-q" is neither -o NAME=VALUE nor -c FILE`},
		{"--apt-options=-o", `--apt-options "-o": -o needs a value`},
	} {
		if _, err := parse(t, &cli.Env{}, tt.args); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v; want %s", tt.args, err, tt.want)
		}
	}
	if _, err := parse(t, &cli.Env{}, "--apt-options=-o X=$(reboot)"); err == nil {
		t.Error("a command in --apt-options is no error")
	}
}

func TestCacheDir(t *testing.T) {
	home := t.TempDir()
	for _, tt := range []struct{ xdg, home, want, err string }{
		{"/xdg", home, "/xdg/gokms", ""},
		{"relative", home, home + "/.cache/gokms", ""},
		{"", home, home + "/.cache/gokms", ""},
		{"/xdg", "", "/xdg/gokms", ""},
		{"", "", "", "no place for fetched headers: HOME is not set"},
		{"", filepath.Join(home, "none"), "", `no place for fetched headers: HOME "` + home + `/none" is not a directory`},
		{"", ".", "", `no place for fetched headers: HOME "." is not a directory`},
	} {
		o, err := parse(t, &cli.Env{Dir: "/here", Environ: []string{"XDG_CACHE_HOME=" + tt.xdg, "HOME=" + tt.home}})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if o.NoCache != nil {
			text = o.NoCache.Error()
		}
		if o.CacheDir != tt.want || text != tt.err {
			t.Errorf("XDG_CACHE_HOME=%s HOME=%s: %q, %q; want %q, %q", tt.xdg, tt.home, o.CacheDir, text, tt.want, tt.err)
		}
		if f := o.Finder(nil, nil, nil); (f.Archive == nil) != (tt.err != "") {
			t.Errorf("XDG_CACHE_HOME=%s HOME=%s: archive %v", tt.xdg, tt.home, f.Archive)
		}
	}
}
