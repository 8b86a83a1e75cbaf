// SPDX-License-Identifier: MIT

package vm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gokms/gokms/internal/testkit"
)

// receive gives text of the guest to a report of two steps, cut into pieces.
func receive(text string, size int) (*Report, error) {
	r := &Report{Results: []Result{{Exit: -1}, {Exit: -1}}}
	w := &receiver{report: r, progress: func() {}, start: time.Now()}
	for piece := range slices.Chunk([]byte(text), size) {
		if _, err := w.Write(piece); err != nil {
			return nil, err
		}
	}
	return r, w.err
}

const (
	bootedLine   = "\x1e" + `{"kind":"booted","dmesg":["Linux version 6.1"],"uptime":1}` + "\n"
	startedLine  = "\x1e" + `{"kind":"started","step":1,"uptime":2}` + "\n"
	finishedLine = "\x1e" + `{"kind":"finished","exit":1,"output":"no\n","dmesg":["x: bad"],"loaded":["a"],"tainted":128,"uptime":2}` + "\n"
	endedLine    = "\x1e" + `{"kind":"ended","loaded":["a","b"],"tainted":4096,"uptime":3}` + "\n"
)

func TestReceive(t *testing.T) {
	for _, tt := range []struct {
		name, text, console string
		want                Report
		err                 string
	}{
		{"complete", "\x1b[2JBdsDxe: starting\r\n" + bootedLine + finishedLine + startedLine + endedLine, "[    1.2] fine\r\n",
			Report{End: Complete, Boot: []string{"Linux version 6.1"}, Modules: []string{"a", "b"}, Tainted: 4096,
				Results: []Result{{Exit: 1, Output: "no\n", Dmesg: []string{"x: bad"}}, {Exit: -1}}}, ""},
		{"firmware on the same line", "EFI stub: \x1b[0m" + endedLine, "", Report{End: Complete, Modules: []string{"a", "b"}, Tainted: 4096}, ""},
		{"panic", bootedLine, "[    2.0] Kernel panic - not syncing: sysrq\r\n",
			Report{End: Panicked, Boot: []string{"Linux version 6.1"}, Trouble: []string{"Kernel panic - not syncing: sysrq"}}, ""},
		{"oops in 6.1", endedLine, "[    2.0] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI\n",
			Report{End: Complete, Oopsed: true, Modules: []string{"a", "b"}, Tainted: 4096, Trouble: []string{"invalid opcode: 0000 [#1] PREEMPT SMP NOPTI"}}, ""},
		{"oops that the console does not show", finishedLine, "", Report{End: Died, Oopsed: true, Modules: []string{"a"}, Tainted: 128,
			Results: []Result{{Exit: 1, Output: "no\n", Dmesg: []string{"x: bad"}}, {Exit: -1}}}, ""},
		{"warning", endedLine, "[    2.0] WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n",
			Report{End: Complete, Modules: []string{"a", "b"}, Tainted: 4096, Trouble: []string{"WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2"}}, ""},
		{"died", startedLine, "", Report{End: Died}, ""},
		{"no message", "", "", Report{End: Died}, ""},
		{"not JSON", "\x1e{\n" + endedLine, "", Report{}, "message of the guest"},
		{"no such step", "\x1e" + `{"kind":"finished","step":2}` + "\n", "", Report{}, "there are 2 steps"},
	} {
		for _, size := range []int{1, 7, 4096} {
			got, err := receive(tt.text, size)
			if tt.err != "" || err != nil {
				if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s: error %v; want %q", tt.name, err, tt.err)
				}
				continue
			}
			got.judge(tt.console)
			got.Booted, got.Console = 0, ""
			if tt.want.Results == nil {
				tt.want.Results = []Result{{Exit: -1}, {Exit: -1}}
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tt.name, diff)
			}
		}
	}
}

func TestWatch(t *testing.T) {
	m := &Machine{Stall: 20 * time.Millisecond}
	for _, tt := range []struct {
		name string
		run  func(*exec.Cmd) error
		end  End
		fail bool
	}{
		{"silent", func(cmd *exec.Cmd) error {
			time.Sleep(100 * time.Millisecond)
			return errors.New("killed")
		}, Hung, false},
		{"progress", func(cmd *exec.Cmd) error {
			for range 10 {
				time.Sleep(10 * time.Millisecond)
				if _, err := cmd.Stdout.Write([]byte(bootedLine)); err != nil {
					return err
				}
			}
			_, err := cmd.Stdout.Write([]byte(endedLine))
			return err
		}, Complete, false},
		{"no qemu", func(cmd *exec.Cmd) error { return exec.ErrNotFound }, "", true},
	} {
		m.Run = tt.run
		r := &Report{}
		err := m.watch(t.Context(), exec.Command("qemu"), r, Case{})
		if (err != nil) != tt.fail || r.End != tt.end {
			t.Errorf("%s: %v, end %q; want %q", tt.name, err, r.End, tt.end)
		}
	}
}

// emptyStore is a volume of 4 KB with room for variables and what is in front
// of it.
func emptyStore() []byte {
	vars := bytes.Repeat([]byte{0xff}, 4096)
	copy(vars[16:], volumeNV.bytes())
	binary.LittleEndian.PutUint16(vars[48:], 72)
	copy(vars[72:], storeAuth.bytes())
	binary.LittleEndian.PutUint32(vars[88:], 2000)
	return vars
}

func TestFirmwareSet(t *testing.T) {
	empty := emptyStore()
	f := &Firmware{Vars: empty}
	cert := []byte("a certificate")
	for _, err := range []error{f.set("db", imageSecurity, signatureLists([][]byte{cert, cert})), f.EnableSecureBoot(cert)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	at, end, err := f.free()
	// Each: header, name, one list of 44 bytes and the certificate a signature; to 4 bytes.
	if want := 72 + 28 + (60 + 6 + 2*57) + (60 + 8 + 57 + 3) + (60 + 6 + 57 + 1); err != nil || at != want || end != 72+2000 {
		t.Errorf("free = %d, %d, %v; want %d", at, end, err, want)
	}
	if !bytes.Equal(empty, emptyStore()) {
		t.Error("set changed the caller's bytes")
	}
	if err := f.set("x", imageSecurity, make([]byte, 2000)); err == nil {
		t.Error("a variable that is larger than the store was set")
	}
	for name, vars := range map[string][]byte{"nothing": nil, "zeros": make([]byte, 4096), "no store": append(slices.Clone(empty[:72]), make([]byte, 100)...), "cut off": empty[:1000]} {
		if err := (&Firmware{Vars: vars}).set("db", imageSecurity, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := imageSecurity.bytes()[:8]; !bytes.Equal(got, []byte{0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45}) {
		t.Errorf("guid: % x", got)
	}
}

// testModule is one with versions of two symbols.
func testModule() []byte {
	version := func(name string) string {
		return "\x01\x02\x03\x04\x00\x00\x00\x00" + name + strings.Repeat("\x00", 56-len(name))
	}
	return (&testkit.ELF{
		Sections: []testkit.Section{
			{Name: ".modinfo", Data: "license=GPL\x00vermagic=6.1.0-1 SMP mod_unload \x00name=first\x00"},
			{Name: thisModule, Data: strings.Repeat("\x00", 24) + "first\x00" + strings.Repeat("\x00", 64)},
			{Name: "__versions", Data: version("alpha") + version("beta")},
		},
		Symbols: []testkit.Symbol{{Name: "alpha"}, {Name: "beta"}, {Name: "alphabet"}},
	}).Bytes()
}

// section looks at the contents of one.
func section(name string) func(*elf.File) string {
	return func(f *elf.File) string {
		if f.Section(name) == nil {
			return "none"
		}
		data, err := f.Section(name).Data()
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
}

func TestPatch(t *testing.T) {
	module := testModule()
	for _, tt := range []struct {
		name  string
		patch Patch
		look  func(*elf.File) string
		want  string // is part of what look returns; of the error where look is nil
	}{
		{"modinfo", Modinfo("license=GPL", "license=MIT"), section(".modinfo"), "license=MIT\x00vermagic=6.1.0-1 SMP mod_unload \x00"},
		{"shorter", Modinfo("SMP ", ""), section(".modinfo"), "license=GPL\x00vermagic=6.1.0-1 mod_unload \x00\x00\x00\x00\x00"},
		{"longer", Modinfo("SMP", "SMP preempt"), nil, "longer"},
		{"no field", Modinfo("intree=Y", ""), nil, "no field"},
		{"CRC", CRC("beta"), section("__versions"), "\xfe\x02\x03\x04\x00\x00\x00\x00beta\x00"},
		{"no version", CRC("alphabet"), nil, "no version"},
		{"unversioned", Unversioned("alpha"), section("__versions"), "\x01\x02\x03\x04\x00\x00\x00\x00Alpha\x00"},
		{"rename", Rename("alpha", "aleph"), section(".strtab"), "\x00aleph\x00beta\x00alphabet\x00"},
		{"rename: version", Rename("alpha", "aleph"), section("__versions"), "\x00aleph\x00"},
		{"rename: length", Rename("alpha", "omega-"), nil, "as long"},
		{"without", Without("__versions"), section("__versions"), "none"},
		{"without: rest", Without("__versions"), section(".modinfo"), "license=GPL"},
		{"unsymbolized", Unsymbolized, func(f *elf.File) string { return f.Section(".symtab").Type.String() }, "SHT_PROGBITS"},
		{"overwrite", Overwrite(".modinfo", 8, 'B', 'S', 'D'), section(".modinfo"), "license=BSD\x00"},
		{"overwrite: end", Overwrite(".modinfo", 1000, 0), nil, "bytes"},
		{"no section", Overwrite(".BTF", 0, 0), nil, "no section .BTF"},
		{"header", Header(16, 3), func(f *elf.File) string { return f.Type.String() }, "ET_DYN"},
		{"header: end", Header(1<<20, 3), nil, "bytes"},
		{"respelled", Respelled("alpha", "aleph"), section(".strtab"), "\x00aleph\x00beta\x00alephbet\x00"},
		{"respelled: length", Respelled("alpha", "omega-"), nil, "as long"},
		{"respelled: nowhere", Respelled("gamma", "omega"), nil, "not in the module"},
		{"named", Named("first", "one"), section(thisModule), strings.Repeat("\x00", 24) + "one\x00\x00\x00\x00"},
		{"named: modinfo", Named("first", "one"), section(".modinfo"), "\x00name=one\x00"},
		{"named: longer", Named("first", "second"), nil, "longer"},
		{"writable", Writable(".modinfo"), func(f *elf.File) string { return f.Section(".modinfo").Flags.String() }, "SHF_WRITE+SHF_ALLOC+SHF_EXECINSTR"},
		{"writable: none", Writable(".text"), nil, "no such section"},
		{"common", Common("beta"), func(f *elf.File) string {
			symbols, err := f.Symbols()
			return fmt.Sprint(symbols[0].Section, symbols[1].Section, symbols[2].Section, err)
		}, "SHN_UNDEF SHN_COMMON SHN_UNDEF <nil>"},
		{"common: none", Common("gamma"), nil, "no undefined symbol"},
		{"foreign", Foreign, func(f *elf.File) string { return f.Machine.String() }, elf.Machine(62 ^ 0xff).String()},
	} {
		got, err := tt.patch(module)
		switch {
		case tt.look == nil:
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v; want %q", tt.name, err, tt.want)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		f, err := elf.NewFile(bytes.NewReader(got))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if text := tt.look(f); !strings.Contains(text, tt.want) {
			t.Errorf("%s: %q; want %q", tt.name, text, tt.want)
		}
		if len(got) != len(module) || !bytes.Equal(module, testModule()) {
			t.Errorf("%s: the length, or what was given, has changed", tt.name)
		}
	}
}

func TestUnsigned(t *testing.T) {
	trailer := func(size byte) string { return string([]byte{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, size}) + signatureMark }
	for _, tt := range []struct{ name, module, want string }{
		{"unsigned", "module", "module"},
		{"signed", "module" + "signature" + trailer(9), "module"},
		{"empty signature", "module" + trailer(0), "module"},
		{"too long", "module" + trailer(200), ""},
		{"mark alone", signatureMark, ""},
	} {
		got, err := Unsigned([]byte(tt.module))
		if string(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}
