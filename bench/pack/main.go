// SPDX-License-Identifier: MIT

// Pack measures the packing of modules: gokms against dpkg-deb, with the same
// compression, in turns. Its targets: xz at most 1.1 of dpkg-deb's time, zstd
// at most 0.5 s more, both at most 2 % larger.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
)

type options struct {
	data        string   // folder to take ELF files from
	megabytes   int64    // how many of them
	rounds      int      // of each tool and compression
	compression []string // to compare
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "/usr/lib", "`folder` to take ELF files from, modules best of all")
	flag.Int64Var(&o.megabytes, "size", 60, "`megabytes` to take")
	flag.IntVar(&o.rounds, "rounds", 5, "runs of each tool")
	list := flag.String("compression", "xz,zstd", "what to compare")
	flag.Parse()
	o.compression = strings.Split(*list, ",")
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/pack: error:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "gokms-bench-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, tree: filepath.Join(dir, "tree")}
	if err := b.prepare(o); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d ELF files from %s, %.1f MB; %d CPUs; %d runs each, in turns\n\n",
		len(b.files), o.data, float64(b.size)/1e6, runtime.NumCPU(), o.rounds)
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "compression\tgokms s\tdpkg-deb s\tratio\tdifference s\tgokms CPU s\tdpkg-deb CPU s\tgokms bytes\tdpkg-deb bytes\tratio\t")
	for _, name := range o.compression {
		if err := b.compare(tw, name, o.rounds); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// bench is a tree of files as dpkg-deb wants it, and the same as our files.
type bench struct {
	dir, tree string
	files     []debfile.File
	size      int64
}

// clock is the time of all entries.
var clock = time.Unix(1700000000, 0)

// prepare copies ELF files into the tree and lays them out as modules.
func (b *bench) prepare(o options) error {
	target := filepath.Join(b.tree, "lib/modules/K/updates/dkms")
	for _, dir := range []string{target, filepath.Join(b.tree, "DEBIAN")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	sources, err := elfFiles(o.data, o.megabytes<<20)
	if err != nil {
		return err
	}
	for i, source := range sources {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		name := filepath.Join(target, fmt.Sprintf("%04d.ko", i))
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
		b.size += int64(len(content))
		b.files = append(b.files, debfile.File{
			Path: strings.TrimPrefix(name, b.tree+"/"), Mode: 0o644, Size: int64(len(content)),
			Open: func() (io.ReadCloser, error) { return os.Open(name) },
		})
	}
	text, err := control.Format(stanza())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.tree, "DEBIAN/control"), text, 0o644)
}

// elfFiles returns ELF files below dir, at most limit bytes of them, none over
// 4 MB since few modules are. The order is that of a walk.
func elfFiles(dir string, limit int64) (names []string, err error) {
	const largest = 4 << 20
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > min(limit, largest) || !isELF(path) {
			return err
		}
		names = append(names, path)
		limit -= info.Size()
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no ELF files below %s", dir)
	}
	return names, err
}

func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = io.ReadFull(f, magic)
	return err == nil && bytes.Equal(magic, []byte("\x7fELF"))
}

func stanza() control.Stanza {
	var s control.Stanza
	s.Set("Package", "bench-modules")
	s.Set("Version", "1.0")
	s.Set("Architecture", "all")
	s.Set("Maintainer", "Nobody <nobody@example.org>")
	s.Set("Description", "files to measure with")
	return s
}

// result is what the runs of one tool gave.
type result struct {
	seconds []float64 // wall
	cpu     []float64
	bytes   int64
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// cpuSeconds is what this process and the programs that it ran have used.
func cpuSeconds() float64 {
	var total int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err == nil {
			total += u.Utime.Nano() + u.Stime.Nano()
		}
	}
	return time.Duration(total).Seconds()
}

// measure runs pack, which must make the file path.
func (r *result) measure(path string, pack func(path string) error) error {
	start, cpu := time.Now(), cpuSeconds()
	if err := pack(path); err != nil {
		return err
	}
	r.seconds = append(r.seconds, time.Since(start).Seconds())
	r.cpu = append(r.cpu, cpuSeconds()-cpu)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	r.bytes = info.Size()
	return os.Remove(path)
}

// compare runs both tools in turns and prints a line of the table.
func (b *bench) compare(out io.Writer, name string, rounds int) error {
	var ours, theirs result
	for range rounds {
		if err := ours.measure(filepath.Join(b.dir, "ours.deb"), b.gokms(name)); err != nil {
			return err
		}
		if err := theirs.measure(filepath.Join(b.dir, "theirs.deb"), b.dpkgDeb(name)); err != nil {
			return err
		}
	}
	us, them := median(ours.seconds), median(theirs.seconds)
	_, err := fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%.3f\t%+.2f\t%.2f\t%.2f\t%d\t%d\t%.4f\t\n", name,
		us, them, us/them, us-them, median(ours.cpu), median(theirs.cpu),
		ours.bytes, theirs.bytes, float64(ours.bytes)/float64(theirs.bytes))
	return err
}

func (b *bench) gokms(name string) func(string) error {
	return func(path string) error {
		p := &debfile.Package{Control: stanza(), Files: b.files, ModTime: clock, Compression: debfile.Compression(name)}
		return debfile.WriteFile(path, p, nil)
	}
}

func (b *bench) dpkgDeb(name string) func(string) error {
	return func(path string) error {
		cmd := exec.Command("dpkg-deb", "--root-owner-group", "-Z"+name, "-b", b.tree, path)
		cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", clock.Unix()))
		cmd.Stderr = os.Stderr
		return cmd.Run()
	}
}
