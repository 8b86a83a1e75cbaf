// SPDX-License-Identifier: MIT

package depmod

import (
	"errors"
	"strings"
	"testing"
)

func TestOverrideLine(t *testing.T) {
	for _, tt := range []struct{ kver, file, want string }{
		{"6.1.0-56-amd64", "updates/dkms/i40e.ko.xz", `override i40e ^6[.]1[.]0-56-amd64$ updates/dkms`},
		{AnyKernel, "updates/a-b.ko", "override a-b * updates"},
		{"6.1+x^y", "updates/a.ko", `override a ^6[.]1[+]x\\^y$ updates`},
		{"6.1", `up\d/a.ko`, `override a ^6[.]1$ up\\d`},
		{"6.1", "a.ko", ""},
		{"6.1", "/e/a.ko", ""},
		{"6.1", "up dates/a.ko", ""},
		{"6.1", "updates/.ko", ""},
	} {
		got, err := OverrideLine(tt.kver, tt.file)
		if (err == nil) != (tt.want != "") || strings.TrimSuffix(got, "\n") != tt.want {
			t.Errorf("OverrideLine(%s, %s) = %q, %v; want %q", tt.kver, tt.file, got, err, tt.want)
			continue
		}
		if err != nil {
			continue
		}
		c := New(Source{"f", []byte(got)})
		o := c.Overrides[0]
		if o.Dir+"/"+o.Module != strings.SplitN(tt.file, ".", 2)[0] || len(c.Warnings) > 0 {
			t.Errorf("%q is read as %+v, %v", got, o, c.Warnings)
		}
		if tt.kver != AnyKernel && (!matchKernel(o.Kernel, tt.kver) || matchKernel(o.Kernel, "x"+tt.kver) || matchKernel(o.Kernel, tt.kver+"0")) {
			t.Errorf("%q matches other kernels than %s", o.Kernel, tt.kver)
		}
	}
}

func TestNeeded(t *testing.T) {
	const name = "/usr/lib/depmod.d/a-modules.conf"
	line := `override a ^6[.]1[.]0-1-t$ `
	for _, tt := range []struct {
		name, conf, files, want string
		text, err               string
	}{
		{"wins already", "", "kernel/a.ko updates/a.ko", "updates/a.ko", "", ""},
		{"loses", "", "kernel/a.ko updates/a.ko", "kernel/a.ko", line + "kernel\n", ""},
		{"one of two", "", "kernel/a.ko extra/a.ko kernel/b.ko updates/b.ko", "extra/a.ko updates/b.ko", line + "extra\n", ""},
		{"ambiguous", "", "updates/a.ko updates/dkms/a.ko", "updates/dkms/a.ko", line + "updates/dkms\n", ""},
		{"not there", "", "kernel/a.ko", "kernel/b.ko", "", "kernel/b.ko is not in the tree"},
		{"cannot be named", "", "a.ko kernel/a.ko", "a.ko", "", "no override line can name a.ko"},
		{"excluded", "exclude dkms", "updates/dkms/a.ko", "updates/dkms/a.ko", "", "updates/dkms/a.ko is not looked at (excluded: dkms, /etc/depmod.d/z.conf:1)"},
		{"a stronger line", "override a * kernel", "kernel/a.ko updates/a.ko", "updates/a.ko", "", "updates/a.ko loses to kernel/a.ko (override a * kernel, /etc/depmod.d/z.conf:1)"},
		{"two in one directory", "", "updates/a.ko updates/a.ko.xz", "updates/a.ko", "", "updates/a.ko or updates/a.ko.xz: of equal rank"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Source{"/etc/depmod.d/z.conf", []byte(tt.conf)})
			got, err := c.Needed(treeOf(strings.Fields(tt.files)...), name, strings.Fields(tt.want)...)
			if got != tt.text || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("Needed = %q, %v; want %q, %s", got, err, tt.text, tt.err)
			}
		})
	}
}

func TestNeededIsMasked(t *testing.T) {
	c := New(Source{"/etc/depmod.d/a.conf", nil})
	_, err := c.Needed(treeOf("kernel/a.ko", "updates/a.ko"), "/usr/lib/depmod.d/a.conf", "kernel/a.ko")
	var loses *LosesError
	if !errors.As(err, &loses) || loses.File != "kernel/a.ko" || loses.Decision == nil {
		t.Errorf("Needed = %v; want a LosesError", err)
	}
}
