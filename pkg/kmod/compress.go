// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ConfigCompression is how a kernel's build compresses its modules; config
// gives the values of its .config, without quotes. Since Linux 6.12 there is
// CONFIG_MODULE_COMPRESS_ALL, and where that is off they stay as they are.
// (Kernels before 5.13 had CONFIG_MODULE_COMPRESS without it; for them the
// answer is None.)
func ConfigCompression(config func(string) string) (Compression, error) {
	chosen := None
	var names []string
	for _, choice := range []struct {
		name string
		c    Compression
	}{{"NONE", None}, {"GZIP", Gzip}, {"XZ", XZ}, {"ZSTD", Zstd}} {
		if name := "CONFIG_MODULE_COMPRESS_" + choice.name; config(name) == "y" {
			chosen, names = choice.c, append(names, name)
		}
	}
	if len(names) > 1 {
		return None, fmt.Errorf("kernel configuration: %s contradict each other", strings.Join(names, " and "))
	}
	if config("CONFIG_MODULE_COMPRESS") == "y" && config("CONFIG_MODULE_COMPRESS_ALL") != "y" {
		return None, nil
	}
	return chosen, nil
}

// Compress compresses the module at path into a new file beside it, whose name
// it returns: path with [Compression.Ext]. The one at path stays. [None] makes
// no file. The options are those of the kernel's scripts/Makefile.modinst,
// which its own decompressor and kmod accept; the bytes depend on the versions
// of the compressors alone. What was written is read back.
func (o *Options) Compress(ctx context.Context, path string, c Compression) (string, error) {
	if c == None {
		return path, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	packed, err := o.Pack(ctx, data, c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	out := path + c.Ext()
	if err := os.WriteFile(out, packed, 0o644); err != nil {
		return "", errors.Join(err, removeIfThere(out))
	}
	return out, nil
}

// Pack is [Options.Compress] for a module in memory.
func (o *Options) Pack(ctx context.Context, data []byte, c Compression) ([]byte, error) {
	if was := compressionOf(data); was != None {
		return nil, fmt.Errorf("compress %s: is compressed with %s already", c, was)
	}
	var packed bytes.Buffer
	var err error
	switch c {
	case None:
		return data, nil
	case XZ:
		err = o.filter(ctx, tool{"xz", "xz-utils"}, data, &packed, "--compress", "--stdout", "--threads=1", "--check=crc32", "--lzma2=dict=1MiB")
	case Gzip:
		err = o.filter(ctx, tool{"gzip", "gzip"}, data, &packed, "-9nc")
	case Zstd:
		err = packZstd(data, &packed)
	default:
		return nil, fmt.Errorf("unknown compression %q of modules", c)
	}
	if err == nil {
		err = o.checkPacked(packed.Bytes(), data, c)
	}
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", c, err)
	}
	return packed.Bytes(), nil
}

func (o *Options) filter(ctx context.Context, t tool, in []byte, out io.Writer, args ...string) error {
	return o.run(ctx, t, func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = bytes.NewReader(in), out }, args...)
}

// zstdWindow is that of zstd(1) at its default level, and what the kernel has
// to allocate to unpack a module.
const zstdWindow = 2 << 20

func packZstd(data []byte, out io.Writer) error {
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		return err
	}
	_, err = z.Write(data)
	return errors.Join(err, z.Close())
}

// checkPacked reads back what a compressor made.
func (o *Options) checkPacked(packed, data []byte, c Compression) error {
	if got := compressionOf(packed); got != c {
		return fmt.Errorf("result is not %s", c)
	}
	if c == XZ {
		if err := checkXZ(packed); err != nil {
			return err
		}
	}
	back, err := o.unpack(bytes.NewReader(packed), c)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return errors.New("what it unpacks to is not what was compressed")
	}
	return nil
}

// What the kernel's decompressor is asked to take: it knows no other check, and
// needs as much memory as the dictionary is large.
const (
	xzCheckCRC32 = 1
	xzDictSize   = 1 << 20
)

// checkXZ looks at the stream header and the first block's header
// (xz-file-format 1.0.4, 2.1.1 and 3.1).
func checkXZ(data []byte) error {
	check, dict, err := xzHeader(data)
	switch {
	case err != nil:
		return err
	case check != xzCheckCRC32:
		return fmt.Errorf("xz stream has the check type %d; the kernel takes CRC32 (%d)", check, xzCheckCRC32)
	case dict != xzDictSize:
		return fmt.Errorf("xz stream has a dictionary of %d bytes; want %d", dict, xzDictSize)
	}
	return nil
}

var errXZHeader = errors.New("xz stream has no header of one LZMA2 filter")

// xzHeader is the type of the check and the size of the LZMA2 dictionary.
func xzHeader(data []byte) (check byte, dict uint64, err error) {
	const streamHeader = 12
	if len(data) < streamHeader+2 || compressionOf(data) != XZ {
		return 0, 0, errXZHeader
	}
	check = data[7]
	flags, rest := data[streamHeader+1], data[streamHeader+2:]
	if flags&0x03 != 0 { // more than one filter
		return 0, 0, errXZHeader
	}
	for _, present := range []byte{flags & 0x40, flags & 0x80} { // compressed, uncompressed size
		if present == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, 0, errXZHeader
		}
		rest = rest[n:]
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 || rest[2] > 39 {
		return 0, 0, errXZHeader
	}
	bits := uint64(rest[2])
	return check, (2 | bits&1) << (bits/2 + 11), nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
