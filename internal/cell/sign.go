// SPDX-License-Identifier: MIT

package cell

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gokms/gokms/internal/target"
	"github.com/gokms/gokms/pkg/kmod"
)

// Signing says what modules are signed with. The fields are those of
// [kmod.Signer] that do not come from the kernel.
type Signing struct {
	Key         string
	Certificate string
	PIN         kmod.PIN
	Env         []string
	// Required: what is doubtful about a signature, and would be a warning, is an
	// error.
	Required bool

	trials sync.Map // of one signer each: func() (warning, err error)
}

// planSigning finds out what the modules will be signed with. What would end
// the signing ends the plan.
func (c *Cell) planSigning(ctx context.Context) error {
	s := c.opts.Sign
	if s == nil {
		return nil
	}
	cert, err := kmod.ReadCertificate(s.Certificate)
	if err != nil {
		return err
	}
	config := c.Kernel.Config.Text
	doubts := []error{kmod.CheckSigningConfig(cert, config)}
	if config("CONFIG_MODULE_SIG") == "y" {
		signer := s.signer(c.Kernel)
		warning, err := s.try(ctx, signer, c)
		if err != nil {
			return fmt.Errorf("signing modules for %s: %w", c.Kernel.Release, err)
		}
		doubts = append(doubts, warning)
		c.signer, c.certificate = signer, cert
	}
	for _, doubt := range doubts {
		if doubt == nil {
			continue
		}
		err := fmt.Errorf("signing modules for %s: %w", c.Kernel.Release, doubt)
		if s.Required {
			return err
		}
		c.Warnings = append(c.Warnings, err)
	}
	return nil
}

// signer uses the kernel's own sign-file where that comes from the machine or
// its archive. Headers that were given may be anybody's: their program must not
// run with the key in reach. Nor is it used for keys in tokens, where openssl
// must not find the libraries of another release.
func (s *Signing) signer(k *target.Kernel) *kmod.Signer {
	signer := &kmod.Signer{
		Hash: k.Config.Text("CONFIG_MODULE_SIG_HASH"),
		Key:  s.Key, Certificate: s.Certificate, PIN: s.PIN, Env: s.Env,
	}
	if k.Origin != target.Given && !kmod.InToken(s.Key) {
		signer.SignFile, signer.Env = signFile(k), append(libraryPath(k), s.Env...)
	}
	return signer
}

// try checks a signer, once for all sources and kernels that have the same.
func (s *Signing) try(ctx context.Context, signer *kmod.Signer, c *Cell) (warning, err error) {
	once := sync.OnceValues(func() (warning, err error) {
		now := time.Now
		if c.opts.Now != nil {
			now = c.opts.Now
		}
		return signer.Check(ctx, c.kmodOptions(), now())
	})
	trial, _ := s.trials.LoadOrStore([2]string{signer.SignFile, signer.Hash}, once)
	return trial.(func() (error, error))()
}

// signFile is the program that signs modules of the kernel: among those of
// kbuild where these are not installed, else in its headers.
func signFile(k *target.Kernel) string {
	const name = "scripts/sign-file"
	for _, m := range k.Mounts {
		if !strings.HasPrefix(filepath.Base(m.Path), "linux-kbuild-") {
			continue
		}
		if path := filepath.Join(m.Host, name); exists(path) {
			return path
		}
	}
	return filepath.Join(k.SourceDir, name)
}

// libraryPath lets programs of kbuild that are not installed find the libraries
// that came with them, outside of the sandbox.
func libraryPath(k *target.Kernel) []string {
	var dirs []string
	for _, place := range k.Libraries {
		for _, m := range k.Mounts {
			if m.Path == place {
				dirs = append(dirs, m.Host)
			}
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// signerName is what modinfo(8) will call the signer; "" where modules stay
// unsigned.
func signerName(cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	return cert.Issuer.CommonName
}
