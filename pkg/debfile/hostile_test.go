// SPDX-License-Identifier: MIT

package debfile

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile are packages that must be refused, by Open or by Extract, with an
// error that holds want. taken is why dpkg takes one all the same.
var hostile = []struct {
	name  string
	deb   []byte
	want  string
	taken string
}{
	{"empty", nil, "truncated at byte 0", ""},
	{"text", []byte("this is not an archive\n"), "not an ar archive", ""},
	{"only_magic", []byte(arMagic), "first member is not debian-binary", ""},
	{"no_debian_binary", arBytes(arPart{"control.tar.gz", gz(controlTar())}, arPart{"data.tar", tarBytes()}),
		"first member is not debian-binary", ""},
	{"version_3", arBytes(arPart{"debian-binary", "3.0\n"}, arPart{"control.tar", controlTar()}, arPart{"data.tar", tarBytes()}),
		`format version "3.0"`, ""},
	{"version_no_newline", arBytes(arPart{"debian-binary", "2.0"}, arPart{"control.tar", controlTar()}, arPart{"data.tar", tarBytes()}),
		"format version", ""},
	{"version_text", arBytes(arPart{"debian-binary", "2.x\n"}, arPart{"control.tar", controlTar()}, arPart{"data.tar", tarBytes()}),
		"format version", ""},
	{"data_before_control", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"data.tar", tarBytes()}, arPart{"control.tar", controlTar()}),
		`member "data.tar": out of place: want control.tar`, ""},
	{"member_between", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()}, arPart{"junk", "x"}, arPart{"data.tar", tarBytes()}),
		`member "junk": out of place: want data.tar`, ""},
	{"two_controls", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()}, arPart{"control.tar", controlTar()}, arPart{"data.tar", tarBytes()}),
		`member "control.tar": out of place: want data.tar`, ""},
	{"no_control", arBytes(arPart{"debian-binary", "2.0\n"}), "no member control.tar", ""},
	{"no_data", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()}), "no member data.tar", ""},
	{"control_bz2", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar.bz2", "x"}, arPart{"data.tar", tarBytes()}),
		`member "control.tar.bz2": unknown compression`, ""},
	{"data_rar", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()}, arPart{"data.tar.rar", "x"}),
		`member "data.tar.rar": unknown compression`, ""},
	{"control_without_control", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", tarBytes(dirEntry("./"))}, arPart{"data.tar", tarBytes()}),
		"x.deb: member control.tar: no file control", ""},
	{"architecture_path", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", strings.Replace(controlTar(), " all\n", " a/.\n", 1)}, arPart{"data.tar", tarBytes(dirEntry("./"))}),
		`x.deb: member control.tar: control: architecture name "a/.": want small letters`, ""},
	{"member_size", []byte(strings.Replace(string(debBytes()), "4         `", "4x        `", 1)), "bad size", ""},
	{"member_header", []byte(strings.Replace(string(debBytes()), "`\n", "'\n", 1)), "bad header", ""},
	{"ar_truncated", []byte(cut(string(debBytes(dirEntry("./"), regEntry("./f"))), 400)), "truncated", ""},
	{"ar_truncated_header", arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()})[:100], "truncated", ""},
	{"gz_truncated", dataMember(".gz", cut(gz(tarBytes(dirEntry("./"), regEntry("./f"))), 20)),
		"x.deb: member data.tar.gz: ", ""},
	{"gz_bad_sum", dataMember(".gz", flip(gz(tarBytes(dirEntry("./"), regEntry("./f"))), 8)),
		"x.deb: member data.tar.gz: gzip: invalid checksum", ""},
	{"not_gz", dataMember(".gz", "no gzip at all"), "x.deb: member data.tar.gz: gzip: invalid header", ""},
	{"not_zst", dataMember(".zst", "no zstd at all"), "x.deb: member data.tar.zst: ", ""},
	{"not_bz2", dataMember(".bz2", "no bzip2 at all"), "x.deb: member data.tar.bz2: ", ""},
	{"tar_truncated", dataMember("", cut(tarBytes(dirEntry("./"), regEntry("./f")), 1024+2)), "x.deb: member data.tar: ", ""},
	{"tar_truncated_padding", dataMember("", cut(tarBytes(dirEntry("./"), regEntry("./f")), 1024+400)), "x.deb: member data.tar: truncated", ""},
	{"tar_truncated_header", dataMember("", cut(tarBytes(dirEntry("./"), regEntry("./f")), 512+100)), "x.deb: member data.tar: ", ""},
	{"not_tar", dataMember("", strings.Repeat("no tar", 200)), "x.deb: member data.tar: ", ""},

	{"dotdot", debBytes(dirEntry("./"), regEntry("./../escaped")), `x.deb: member data.tar.gz: "./../escaped": ".." in path`, ""},
	{"dotdot_inside", debBytes(dirEntry("./"), dirEntry("./a/"), regEntry("./a/../f")), `".." in path`, ""},
	{"absolute", debBytes(dirEntry("./"), regEntry("/tmp/gokms-escaped")), "path is absolute",
		"tar strips the slash"},
	{"no_name", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeReg, Name: ""}), "no file name", ""},
	{"newline", debBytes(dirEntry("./"), regEntry("./a\nb")), "control character", ""},
	{"duplicate", debBytes(dirEntry("./"), regEntry("./f"), regEntry("./f")), "duplicate entry", "the later one wins"},
	{"duplicate_spelling", debBytes(dirEntry("./"), regEntry("./f"), regEntry("f")), "duplicate entry", "the later one wins"},
	{"no_parent", debBytes(dirEntry("./"), regEntry("./a/f")), `no entry for its directory "a"`, ""},
	{"below_file", debBytes(dirEntry("./"), regEntry("./a"), regEntry("./a/f")), `lies below "a"`, ""},
	{"through_link_out", debBytes(dirEntry("./"), symEntry("./a", ".."), regEntry("./a/escaped")), `"a": link target ".." leads out`, ""},
	{"through_inner_link", debBytes(dirEntry("./"), dirEntry("./d/"), symEntry("./a", "d"), regEntry("./a/f")), `path goes through the link "a"`, ""},
	{"link_absolute", debBytes(dirEntry("./"), symEntry("./a", "/etc/passwd")), `"a": absolute link target "/etc/passwd" leads out`, "it is a link on the installed system"},
	{"link_out", debBytes(dirEntry("./"), dirEntry("./d/"), symEntry("./d/a", "../../x")), `"d/a": link target "../../x" leads out`, "it is a link on the installed system"},
	{"link_out_by_link", debBytes(dirEntry("./"), dirEntry("./p/"), dirEntry("./p/q/"), dirEntry("./z/"),
		symEntry("./p/x", ".."), symEntry("./p/q/y", "../x/../../z")), `"p/q/y": link cannot be followed`, "it is a link on the installed system"},
	{"link_no_target", debBytes(dirEntry("./"), symEntry("./a", "")), "symbolic link without target", ""},
	{"hard_link_out", debBytes(dirEntry("./"), hardEntry("./a", "../../etc/passwd")), `".." in path`, ""},
	{"hard_link_absolute", debBytes(dirEntry("./"), hardEntry("./a", "/etc/passwd")), "path is absolute", ""},
	{"hard_link_forward", debBytes(dirEntry("./"), hardEntry("./a", "./b"), regEntry("./b")), "not an earlier file", ""},
	{"hard_link_to_link", debBytes(dirEntry("./"), symEntry("./l", "f"), hardEntry("./a", "./l"), regEntry("./f")), "not an earlier file", ""},
	{"hard_link_to_dir", debBytes(dirEntry("./"), dirEntry("./d/"), hardEntry("./a", "./d")), "not an earlier file", ""},
	{"char_device", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeChar, Name: "./null", Devmajor: 1, Devminor: 3}), "not a file, directory or link", "it makes devices"},
	{"block_device", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeBlock, Name: "./sda", Devmajor: 8}), "not a file, directory or link", "it makes devices"},
	{"fifo", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeFifo, Name: "./fifo"}), "not a file, directory or link", "it makes fifos"},
	{"pax", debBytes(dirEntry("./"), tar.Header{Typeflag: tar.TypeReg, Name: "./f", Format: tar.FormatPAX, PAXRecords: map[string]string{"GOKMS.x": "y"}}),
		"PAX", ""},
	{"pax_global", debBytes(tar.Header{Typeflag: tar.TypeXGlobalHeader, Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": "y"}}),
		"PAX", ""},
}

// dataMember is a package with a data member of that content.
func dataMember(ext, content string) []byte {
	return arBytes(arPart{"debian-binary", "2.0\n"}, arPart{"control.tar", controlTar()}, arPart{"data.tar" + ext, content})
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// flip changes the n-th byte from the end.
func flip(s string, n int) string {
	b := []byte(s)
	b[len(b)-n] ^= 0xff
	return string(b)
}

func TestHostile(t *testing.T) {
	t.Parallel()
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			outer := t.TempDir()
			dir := filepath.Join(outer, "in", "side")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			r, err := readBytes(test.deb, nil)
			if err == nil {
				err = r.Extract(dir)
			}
			if err == nil {
				t.Fatalf("no error; want %q", test.want)
			}
			if !strings.HasPrefix(err.Error(), "x.deb: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q; want x.deb: ... %q", err, test.want)
			}
			if names, _ := os.ReadDir(outer); len(names) != 1 {
				t.Errorf("written outside: %v", names)
			}
			if names, _ := os.ReadDir(filepath.Dir(dir)); len(names) != 1 {
				t.Errorf("written outside: %v", names)
			}
		})
	}
}
