// SPDX-License-Identifier: MIT

package status

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// list reads all entries of archives, "NAME=CONTENT", and what ends them.
func list(data []byte) ([]string, error) {
	c := &cpioReader{r: bufio.NewReader(bytes.NewReader(data))}
	var all []string
	for {
		e, err := c.next()
		if err != nil {
			return all, err
		}
		text := e.name
		if len(all)%2 == 0 { // every other content is skipped
			content, err := c.content()
			if err != nil {
				return all, err
			}
			text += "=" + string(content)
		}
		all = append(all, text)
	}
}

func file(name, content string) testkit.CPIOFile {
	return testkit.CPIOFile{Name: name, Content: content}
}

// archives are texts that begin as archives do, with what is in them.
func archives() map[string]struct {
	data []byte
	want []string
	err  error // nil: io.EOF
} {
	one := testkit.CPIO(file("a", "1"), file("bb", "22"), file("ccc", ""))
	zeros := make([]byte, 512)
	bad := func(at int, text string) []byte {
		b := slices.Clone(one)
		copy(b[at:], text)
		return b
	}
	return map[string]struct {
		data []byte
		want []string
		err  error
	}{
		"nothing":         {},
		"one":             {data: one, want: []string{"a=1", "bb", "ccc="}},
		"two":             {data: slices.Concat(one, zeros, testkit.CPIO(file("d", "4")), zeros), want: []string{"a=1", "bb", "ccc=", "d"}},
		"without trailer": {data: one[:len(one)-124], want: []string{"a=1", "bb", "ccc="}},
		"something else":  {data: append(slices.Clone(one), "\x1f\x8b"...), want: []string{"a=1", "bb", "ccc="}, err: errOther},
		"no archive":      {data: []byte("text"), err: errOther},
		"old magic":       {data: bad(0, "070707"), err: errOther},
		"with checksums":  {data: bad(0, "070702"), want: []string{"a=1", "bb", "ccc="}},
		"cut in a header": {data: one[:50], err: io.ErrUnexpectedEOF},
		"cut in a name":   {data: one[:110], err: io.ErrUnexpectedEOF},
		"cut in content":  {data: one[:112], err: io.ErrUnexpectedEOF},
		"no number":       {data: bad(54, "xyz"), err: errors.New(`"xyz00001"`)},
		"a sign":          {data: bad(54, "+0000001"), err: errors.New(`"+0000001"`)},
		"no name":         {data: bad(94, "00000000"), err: errors.New("a name of 0 bytes")},
		"long name":       {data: bad(94, "ffffffff"), err: errors.New("a name of 4294967295 bytes")},
		"large file":      {data: bad(54, "ffffffff"), err: errors.New("a file of 4294967295 bytes")},
	}
}

func TestCPIO(t *testing.T) {
	t.Parallel()
	for name, tt := range archives() {
		got, err := list(tt.data)
		want := tt.err
		if want == nil {
			want = io.EOF
		}
		if !errors.Is(err, want) && (err == nil || !strings.Contains(err.Error(), want.Error())) {
			t.Errorf("%s: error %v; want %v", name, err, want)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: entries differ (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzCPIO wants what is read to be read again when it is written anew.
func FuzzCPIO(f *testing.F) {
	for _, tt := range archives() {
		f.Add(tt.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &cpioReader{r: bufio.NewReader(bytes.NewReader(data))}
		var files []testkit.CPIOFile
		for {
			e, err := c.next()
			if err != nil {
				break
			}
			content, err := c.content()
			if err != nil {
				break
			}
			files = append(files, testkit.CPIOFile{Name: e.name, Content: string(content), Mode: uint32(e.mode)})
		}
		again := &cpioReader{r: bufio.NewReader(bytes.NewReader(testkit.CPIO(files...)))}
		for _, want := range files {
			e, err := again.next()
			if err != nil {
				t.Fatalf("%q: %v", want.Name, err)
			}
			content, err := again.content()
			if e.name != want.Name || string(content) != want.Content || err != nil {
				t.Fatalf("read %q (%d bytes), %v; want %q (%d bytes)", e.name, len(content), err, want.Name, len(want.Content))
			}
		}
		if _, err := again.next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

// TestCPIOOracle reads what cpio(1) writes.
func TestCPIOOracle(t *testing.T) {
	t.Parallel()
	testkit.Tools(t, "cpio")
	dir := t.TempDir()
	var names, want []string
	for _, name := range []string{"a", "bb", "ccc", "dddd", "sub/file"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(strings.Repeat(name, 3)), 0o644)); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	cmd := exec.Command("cpio", "-o", "-H", "newc", "--quiet")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		text := name
		if i%2 == 0 {
			text += "=" + strings.Repeat(name, 3)
		}
		want = append(want, text)
	}
	got, err := list(out)
	if diff := cmp.Diff(want, got); diff != "" || err != io.EOF {
		t.Errorf("entries differ (-want +got): %v\n%s", err, diff)
	}
}
