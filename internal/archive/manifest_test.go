// SPDX-License-Identifier: MIT

package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// spoils are what may happen to an unpacked package, of which common is the
// root, and what is said of it.
var spoils = []struct {
	name  string
	spoil func(common string) error
	want  string // "": nothing that changes a build
	deep  string // what reading all finds besides; "": the same
}{
	{"nothing", func(string) error { return nil }, "", ""},
	{"longer", func(root string) error { return os.WriteFile(root+makefile, []byte("x: y\n"), 0) }, makefile + " has another size", ""},
	{"as long", func(root string) error { return os.WriteFile(root+makefile, []byte("y:\n"), 0) }, makefile + " has changed", ""},
	{"as long and as old", func(root string) error {
		return errors.Join(os.WriteFile(root+makefile, []byte("y:\n"), 0), os.Chtimes(root+makefile, time.Time{}, time.Unix(1e9, 0)))
	}, "", makefile + " has changed"},
	{"touched", func(root string) error { return os.Chtimes(root+makefile, time.Time{}, time.Now()) }, "", ""},
	{"closed", func(root string) error { return os.Chmod(root+makefile, 0o600) }, makefile + " has another mode", ""},
	{"to be run", func(root string) error { return os.Chmod(root+makefile, 0o755) }, makefile + " has another mode", ""},
	{"file gone", func(root string) error { return os.Remove(root + makefile) }, filepath.Dir(makefile) + " has changed", ""},
	{"file more", func(root string) error { return os.WriteFile(root+makefile+".orig", nil, 0o644) }, filepath.Dir(makefile) + " has changed", ""},
	{"a link in its place", func(root string) error {
		return errors.Join(os.Rename(root+makefile, root+makefile+"2"), os.Symlink("Makefile2", root+makefile), os.Chtimes(filepath.Dir(root+makefile), time.Time{}, time.Unix(1e9, 0)))
	}, makefile + " is another kind of file", filepath.Dir(makefile) + " has changed"},
	{"emptied", func(root string) error { return os.RemoveAll(root + "/usr") }, "/. has changed", ""},
	{"root gone", os.RemoveAll, "/. is gone", ""},
	{"list gone", func(root string) error { return os.Remove(filepath.Join(root, "../files")) }, "its list of files is gone", ""},
	{"half a list", func(root string) error { return os.Truncate(filepath.Join(root, "../files"), 100) }, "its list of files is not whole", ""},
}

const makefile = "/usr/src/linux-headers-6.1.0-2-common/Makefile"

// TestDamaged spoils a cached package: online it is fetched again, offline it
// is an error.
func TestDamaged(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	for _, tt := range spoils {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, r, "libssl3 3.0-1")
			var warned []string
			m.Warn = func(err error) { warned = append(warned, err.Error()) }
			a := Open(m.Options)
			set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
			if err := tt.spoil(set.Packages[1].Root); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want != "" {
				want = "cache directory " + m.CacheDir + ": linux-headers-6.1.0-2-common 6.1.2-1 is not as it was unpacked: " + strings.TrimPrefix(want, "/")
			}
			offline := m.Options
			offline.Offline = true
			if _, err := Open(offline).Lookup(set.Release); text(err) != want {
				t.Errorf("Lookup() offline: %v; want %s", err, want)
			}
			got, err := a.Lookup(set.Release)
			if err != nil || (got == nil) != (want != "") {
				t.Errorf("Lookup() = %v, %v; want nothing: %t", got, err, want != "")
			}
			if want != "" {
				want += "; it is fetched again"
			}
			if got := strings.Join(warned, "\n"); got != want {
				t.Errorf("warnings %q; want %q", got, want)
			}
			mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
			if got, err := Open(offline).Lookup(set.Release); got == nil || err != nil {
				t.Errorf("Lookup() after another Fetch = %v, %v", got, err)
			}
		})
	}
}

// TestVerify does the same for records of builds.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := newRepo(t, two()...)
	for _, tt := range spoils {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, r, "libssl3 3.0-1")
			a := Open(m.Options)
			set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
			if err := tt.spoil(set.Packages[1].Root); err != nil {
				t.Fatal(err)
			}
			want := tt.deep
			if want == "" {
				want = tt.want
			}
			want = strings.TrimPrefix(want, "/")
			offline := m.Options
			offline.Offline = true
			for name, err := range map[string]error{
				"Verify":     Open(offline).Verify(t.Context(), set.Packages[1]),
				"FetchExact": fetchExact(t, Open(offline), set.Packages),
			} {
				if !strings.HasSuffix(text(err), want) || (err == nil) != (want == "") {
					t.Errorf("%s() offline: %v; want %s", name, err, want)
				}
			}
			if err := fetchExact(t, a, set.Packages); err != nil {
				t.Errorf("FetchExact() = %v", err)
			}
			if err := Open(offline).Verify(t.Context(), set.Packages[1]); err != nil {
				t.Errorf("Verify() after FetchExact: %v", err)
			}
		})
	}
}

func fetchExact(t *testing.T, a *Archive, packages []Package) error {
	_, err := a.FetchExact(t.Context(), packages)
	return err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestVerifyDiscards wants the next run to fetch what Verify found.
func TestVerifyDiscards(t *testing.T) {
	t.Parallel()
	m := newMachine(t, newRepo(t, two()...), "libssl3 3.0-1")
	a := Open(m.Options)
	set := mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	common := set.Packages[1]
	if err := spoils[3].spoil(common.Root); err != nil {
		t.Fatal(err)
	}
	err := a.Verify(t.Context(), common)
	if e, ok := errors.AsType[*DamagedError](err); !ok || e.Hint() != "run again: the package is fetched again" {
		t.Errorf("Verify() = %v", err)
	}
	mustFetch(t, a, "linux-headers-6.1.0-2-amd64")
	if err := a.Verify(t.Context(), common); err != nil {
		t.Errorf("Verify() after Fetch: %v", err)
	}
}

func TestParseManifest(t *testing.T) {
	m := manifest{{kind: 'd', path: "."}, {'x', 3, -5, sumOf("x"), "a b\n\"c"}, {kind: 'l', sum: sumOf("/t"), path: "ä"}}
	got, err := parseManifest(m.String())
	if diff := cmp.Diff(m, got, cmp.AllowUnexported(unpacked{})); diff != "" || err != nil {
		t.Errorf("parseManifest(String()) error %v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "x\n", "1\n", "1\nd 0 0 s\n", "1\nd x 0 s \"a\"\n", "1\nd 0 0 s a\n", "1\nd 0 0 s \"../a\"\n", "2\nd 0 0 s \"a\"\n"} {
		if m, err := parseManifest(text); err == nil {
			t.Errorf("parseManifest(%q) = %v; want an error", text, m)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add("1\nx 3 -5 " + sumOf("x") + " \"a b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		again, err := parseManifest(m.String())
		if diff := cmp.Diff(m, again, cmp.AllowUnexported(unpacked{})); diff != "" || err != nil {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestCacheDirUnusable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if sets, err := Open(Options{CacheDir: dir}).Cached(); sets != nil || err != nil {
		t.Errorf("Cached() of no directory = %v, %v; want nothing", sets, err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("Cached() made %s", filepath.Dir(dir))
	}
	_, err := Open(Options{CacheDir: "/proc/gokms/x"}).Cached()
	if e, ok := errors.AsType[*CacheError](err); !ok || !strings.HasPrefix(e.Error(), "cache directory /proc/gokms/x: cannot be made in /proc: ") {
		t.Errorf("Cached() below /proc: %v", err)
	}
}

func TestAptErrorText(t *testing.T) {
	e := &AptError{Args: []string{"apt-get", "-o", "X=Y", "update"}, Err: errors.New("exit status 100")}
	if want := "apt-get -o X=Y update: exit status 100"; e.Error() != want {
		t.Errorf("Error() = %q; want %q", e.Error(), want)
	}
	e.Output = "E: Failed to fetch a\nE: Some index files failed to download. They have been ignored.\nE: b"
	if want := "E: Failed to fetch a; E: b (apt-get: exit status 100)"; e.Error() != want {
		t.Errorf("Error() = %q; want %q", e.Error(), want)
	}
}
