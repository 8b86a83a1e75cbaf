// SPDX-License-Identifier: MIT

package status

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/gokms/gokms/pkg/depmod"
	"github.com/gokms/gokms/pkg/kmod"
	"github.com/gokms/gokms/pkg/proc"
)

// maxInitramfs is the most bytes that an initramfs may unpack to. Debian's have
// about 200 MB; those with much firmware, 1 GB.
const maxInitramfs = 4 << 30

// digest is the SHA-256 of a module's content, uncompressed.
type digest [sha256.Size]byte

// packed is a module in an initramfs.
type packed struct {
	file   string // below lib/modules/KVER
	digest digest // of a module that was asked for
}

// contents are the modules of one kernel in an initramfs, by module name. The
// kernel and modprobe look at one path, so that one name with several files is
// what dracut and others may leave.
type contents map[string][]packed

// initramfs is one that is read: initramfs(5) in the kernel's sense, archives
// of which the first may be plain, as microcode and since Debian 13 modules
// are, and the last is compressed.
type initramfs struct {
	kver   string
	wanted map[string]bool // modules whose content counts
	limit  int64           // bytes that it may unpack to
	run    func(*exec.Cmd) error
	files  int // that it holds, of any kind
	found  contents
	links  map[[3]int64][]entry // whose content comes with the last of them
}

// readInitramfs reads the file once, from its beginning to its end. Opening a
// pipe, which a root of others may have there, does not wait for a writer.
func (o *Options) readInitramfs(ctx context.Context, file, kver string, wanted map[string]bool) (contents, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: not a regular file", file))
	}
	i := newInitramfs(kver, wanted, o.run())
	if err := i.read(ctx, f); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if i.files == 0 {
		return nil, fmt.Errorf("%s: it holds no files", file)
	}
	return i.found, nil
}

func newInitramfs(kver string, wanted map[string]bool, run func(*exec.Cmd) error) *initramfs {
	return &initramfs{kver: kver, wanted: wanted, limit: maxInitramfs, run: run, found: contents{}, links: map[[3]int64][]entry{}}
}

// read reads plain archives, and then what is compressed.
func (i *initramfs) read(ctx context.Context, r io.Reader) error {
	b := bufio.NewReaderSize(r, 1<<16)
	err := i.archives(ctx, b)
	if !errors.Is(err, errOther) {
		return err
	}
	decode, err := decoderOf(b)
	if err != nil {
		return err
	}
	return decode(ctx, i.run, b, func(r io.Reader) error {
		r = &limited{r, i.limit}
		err := i.archives(ctx, bufio.NewReaderSize(r, 1<<18))
		if err == nil || errors.Is(err, errOther) {
			_, err = io.Copy(io.Discard, r) // checksums stand at the end
		}
		return err
	})
}

// archives reads plain archives up to the end, or up to errOther.
func (i *initramfs) archives(ctx context.Context, b *bufio.Reader) error {
	c := &cpioReader{r: b}
	for ctx.Err() == nil {
		e, err := c.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = i.entry(c, e)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// entry takes a module of the kernel. The content of a file with several names
// comes with the last of them.
func (i *initramfs) entry(c *cpioReader, e *entry) error {
	i.files++
	if e.links > 1 && e.size == 0 {
		if i.file(e) != "" {
			i.links[e.inode] = append(i.links[e.inode], *e)
		}
		return nil
	}
	names := []entry{*e}
	if e.links > 1 {
		names = append(names, i.links[e.inode]...)
		delete(i.links, e.inode)
	}
	var sum digest
	for _, n := range names {
		file := i.file(&n)
		if file == "" {
			continue
		}
		name := depmod.ModuleName(file)
		if i.wanted[name] && sum == (digest{}) {
			data, err := c.content()
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			if sum, err = sumOf(data, i.run); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
		i.found[name] = append(i.found[name], packed{file, sum})
	}
	return nil
}

// file is the name of a module of the kernel below lib/modules/KVER, "" for all
// else.
func (i *initramfs) file(e *entry) string {
	if !e.regular() {
		return ""
	}
	p := strings.TrimPrefix(path.Clean("/"+e.name), "/usr")
	rel, ok := strings.CutPrefix(p, "/lib/modules/"+i.kver+"/")
	if !ok || !isModule(rel) {
		return ""
	}
	return rel
}

// sumOf is the digest of a module file, compressed or not.
func sumOf(data []byte, run func(*exec.Cmd) error) (digest, error) {
	o := &kmod.Options{Run: run, MaxSize: maxModule}
	plain, _, err := o.Unpack(bytes.NewReader(data), int64(len(data)), "")
	return sha256.Sum256(plain), err
}

// decoder gives the uncompressed content of in to use.
type decoder func(ctx context.Context, run func(*exec.Cmd) error, in io.Reader, use func(io.Reader) error) error

// decoderOf tells the compression by the first bytes: those that initramfs-tools
// and the kernel know.
func decoderOf(b *bufio.Reader) (decoder, error) {
	head, _ := b.Peek(6)
	for _, format := range []struct {
		magic  string
		decode decoder
	}{
		{"\x1f\x8b", gunzip},
		{"\x28\xb5\x2f\xfd", unzstd},
		{"BZh", bunzip2},
		{"\xfd7zXZ\x00", program("xz", "-dc", "--memlimit-decompress=1GiB")},
		{"\x5d\x00\x00", program("xz", "-dc", "--format=lzma", "--memlimit-decompress=1GiB")},
		{"\x02\x21\x4c\x18", program("lz4", "-dc")}, // the old format, which the kernel wants
		{"\x04\x22\x4d\x18", program("lz4", "-dc")},
		{"\x89LZO\x00", program("lzop", "-dc")},
	} {
		if strings.HasPrefix(string(head), format.magic) {
			return format.decode, nil
		}
	}
	return nil, fmt.Errorf("unknown compression: it begins %q", head)
}

func gunzip(_ context.Context, _ func(*exec.Cmd) error, in io.Reader, use func(io.Reader) error) error {
	r, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	return errors.Join(use(r), r.Close())
}

func bunzip2(_ context.Context, _ func(*exec.Cmd) error, in io.Reader, use func(io.Reader) error) error {
	return use(bzip2.NewReader(in))
}

// unzstd allows for the window of zstd --ultra -22, 128 MB.
func unzstd(_ context.Context, _ func(*exec.Cmd) error, in io.Reader, use func(io.Reader) error) error {
	r, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return err
	}
	defer r.Close()
	return use(r)
}

// program decodes with a program, which has to be there.
func program(name string, args ...string) decoder {
	return func(ctx context.Context, run func(*exec.Cmd) error, in io.Reader, use func(io.Reader) error) error {
		file, err := proc.LookPath(name, proc.SearchPath)
		if err != nil {
			return fmt.Errorf("%s, which it is compressed with, is not installed", name)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		cmd := exec.CommandContext(ctx, file, args...)
		cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + proc.SearchPath}
		r, w := io.Pipe()
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, w, &stderr
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := run(cmd)
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
			}
			w.CloseWithError(err)
		}()
		err = use(r)
		cancel()
		r.CloseWithError(io.ErrClosedPipe)
		<-done
		return err
	}
}

// limited is a reader that fails where too much comes.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, errors.New("it unpacks to more than anybody needs")
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}
