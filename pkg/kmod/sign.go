// SPDX-License-Identifier: MIT

package kmod

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// PIN is what opens a key: a passphrase, or the PIN of a token. It prints as
// "(secret)".
type PIN string

func (PIN) String() string { return "(secret)" }

// GoString is what %#v prints.
func (PIN) GoString() string { return `"(secret)"` }

// MarshalText is what JSON shows.
func (PIN) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// maxPIN is the most bytes of a PIN or passphrase: OpenSSL takes 1,023.
const maxPIN = 1000

// ReadPIN reads the one line of a file, which may be a pipe.
func ReadPIN(path string) (PIN, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPIN+int64(len("\r\n"))+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" || len(text) > maxPIN || strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("%s: want one line with the PIN or passphrase", path)
	}
	return PIN(text), nil
}

// Signer is what modules for one kernel are signed with. The value is only
// read.
type Signer struct {
	// SignFile is the scripts/sign-file of the kernel's headers, which signs
	// with keys in files. It runs with the key in reach. "": openssl(1) signs
	// with them, and makes the same bytes.
	SignFile string
	// Hash is CONFIG_MODULE_SIG_HASH, without quotes.
	Hash string
	// Key is a PEM file, or the "pkcs11:" URI (RFC 7512) of a key in a token.
	// For these openssl(1) signs with its engine pkcs11: of the sign-file
	// programs of today the one wants that engine, the other a provider that
	// Debian 12 does not have.
	Key string
	// Certificate is the file of its certificate, PEM or DER.
	Certificate string
	// PIN opens Key; "" where it needs none. It reaches the programs in their
	// environment, as KBUILD_SIGN_PIN.
	PIN PIN
	// Env are more variables that the token's library needs, NAME=VALUE:
	// PKCS11_MODULE_PATH, SOFTHSM2_CONF, OPENSSL_CONF.
	Env []string
}

// KeyError is about a key or certificate that cannot be used.
type KeyError struct {
	Reason string
	Cure   string // "": nothing to advise
	Err    error  // of the program or system; may be nil
}

func (e *KeyError) Error() string { return e.Reason }

// Hint says what the user can do.
func (e *KeyError) Hint() string { return e.Cure }

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// Check finds what would end [Options.Sign], before a module is built: it signs
// a few bytes and verifies that. The warning is a [*ValidityError].
func (s *Signer) Check(ctx context.Context, o *Options, now time.Time) (warning, err error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	cert, err := ReadCertificate(s.Certificate)
	if err != nil {
		return nil, err
	}
	if err := CheckSigningKey(cert); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gokms-sign-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	trial := filepath.Join(dir, "trial")
	if err := os.WriteFile(trial, []byte("This is not a kernel module.\n"), 0o600); err != nil {
		return nil, err
	}
	if err := o.Sign(ctx, trial, s); err != nil {
		return nil, plainly(err)
	}
	return CheckValidity(cert, now), nil
}

// plainly is err, of a trial signature, without the names of files that the user
// has never heard of, where it says enough without.
func plainly(err error) error {
	if e, ok := errors.AsType[*KeyError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*ToolError](err); ok {
		return e
	}
	return fmt.Errorf("trial signature: %w", err)
}

// CheckPrivate returns a [*KeyError] if the file at path, which holds a key or
// its PIN, can be read by others than its owner. Pipes pass, and what is not
// there.
func CheckPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o044 == 0 {
		return nil
	}
	return &KeyError{Reason: fmt.Sprintf("%s can be read by others than its owner: its mode is %04o", path, info.Mode().Perm()),
		Cure: "run chmod go= " + path}
}

// check looks at what can be seen without a program.
func (s *Signer) check() error {
	if _, err := hashNamed(s.Hash); err != nil {
		return err
	}
	if s.inToken() {
		return CheckKeyURI(s.Key)
	}
	f, err := os.Open(s.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.SignFile == "" {
		return nil
	}
	if _, err := os.Stat(s.SignFile); err != nil {
		return &KeyError{Reason: s.SignFile + " is not there, which signs modules", Err: err,
			Cure: "install the package linux-kbuild-... that the kernel's header package depends on"}
	}
	return nil
}

// CheckKeyURI refuses the pkcs11: URI of a key that holds the PIN. Names of
// files pass.
func CheckKeyURI(key string) error {
	if InToken(key) && strings.Contains(key, "pin-value=") {
		return &KeyError{Reason: "the pkcs11: URI of the key holds a pin-value, which every user could read",
			Cure: cureNone}
	}
	return nil
}

// What to do about a PIN.
const (
	cureNone  = "set KBUILD_SIGN_PIN, or name a file that holds it: --sign-pin-file FILE"
	cureWrong = "what KBUILD_SIGN_PIN, or the file of --sign-pin-file, holds is wrong: correct it"
)

// InToken says whether key is a pkcs11: URI, for which no sign-file is needed.
func InToken(key string) bool { return strings.HasPrefix(key, "pkcs11:") }

func (s *Signer) inToken() bool { return InToken(s.Key) }

// ValidityError says that a certificate is not valid at a time. The kernel
// does not ask.
type ValidityError struct {
	Name             string
	From, Until, Now time.Time
}

func (e *ValidityError) Error() string {
	const day = "2006-01-02 15:04:05 MST"
	if e.Now.Before(e.From) {
		return fmt.Sprintf("%s is not valid before %s", e.Name, e.From.UTC().Format(day))
	}
	return fmt.Sprintf("%s has expired on %s", e.Name, e.Until.UTC().Format(day))
}

// CheckValidity returns a [*ValidityError] if cert is not valid now.
func CheckValidity(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return &ValidityError{certificateName(cert), cert.NotBefore, cert.NotAfter, now}
	}
	return nil
}

// Sign signs the module at path in place: it must be stripped, and not yet
// compressed. The signature is verified before the module is replaced; on an
// error it stays as it was.
func (o *Options) Sign(ctx context.Context, path string, s *Signer) error {
	if err := s.check(); err != nil {
		return err
	}
	cert, err := ReadCertificate(s.Certificate)
	if err != nil {
		return err
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkSignable(module); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".gokms-sign-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "signed")
	if err := o.sign(ctx, path, out, s); err != nil {
		return fmt.Errorf("sign %s: %w", path, s.explain(err))
	}
	if err := checkSigned(out, module, cert, s.Hash); err != nil {
		return fmt.Errorf("sign %s: %w", path, err)
	}
	return replace(out, path)
}

// checkSignable refuses what is no module as the kernel would verify it.
func checkSignable(module []byte) error {
	if c := compressionOf(module); c != None {
		return fmt.Errorf("is compressed with %s: modules are signed before", c)
	}
	before, signature, err := SplitSignature(module)
	if err != nil || signature != nil || len(before) != len(module) {
		return errors.New("is signed already")
	}
	return nil
}

// checkSigned reads back what was signed.
func checkSigned(path string, module []byte, cert *x509.Certificate, hash string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := VerifySigned(data, cert, hash); err != nil {
		return err
	}
	if before, _, err := SplitSignature(data); err != nil || !bytes.Equal(before, module) {
		return errors.New("the bytes before the signature have changed")
	}
	return nil
}

// replace puts the file from at path, with path's mode.
func replace(from, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(from, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(from, path)
}

// sign writes the signed module to out.
func (o *Options) sign(ctx context.Context, path, out string, s *Signer) error {
	if s.inToken() || s.SignFile == "" {
		return o.signWithOpenSSL(ctx, path, out, s)
	}
	signFile, err := filepath.Abs(s.SignFile)
	if err != nil {
		return err
	}
	where := Options{Path: filepath.Dir(signFile)} // sign-file itself runs nothing
	if o != nil {
		where.Run = o.Run
	}
	return where.runWithKey(ctx, tool{filepath.Base(signFile), "linux-kbuild-..."}, s,
		s.Hash, operand(s.Key), operand(s.Certificate), operand(path), operand(out))
}

// signWithOpenSSL has openssl(1) make the bytes that sign-file would.
func (o *Options) signWithOpenSSL(ctx context.Context, path, out string, s *Signer) error {
	detached := out + ".p7s"
	args := []string{
		"cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", s.Hash, "-in", operand(path), "-signer", operand(s.Certificate),
		"-outform", "DER", "-out", operand(detached),
	}
	if s.inToken() {
		args = append(args, "-engine", "pkcs11", "-keyform", "engine", "-inkey", s.Key)
	} else {
		args = append(args, "-inkey", operand(s.Key))
	}
	if s.PIN != "" {
		args = append(args, "-passin", "env:KBUILD_SIGN_PIN")
	}
	if err := o.runWithKey(ctx, tool{"openssl", "openssl"}, s, args...); err != nil {
		return err
	}
	signature, err := os.ReadFile(detached)
	if err != nil {
		return err
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(out, AppendSignature(module, signature), 0o600)
}

// runWithKey runs a program that uses the key. It cannot ask the user: it has
// no terminal. The error holds all that the program said, and no PIN.
func (o *Options) runWithKey(ctx context.Context, t tool, s *Signer, args ...string) error {
	var said bytes.Buffer
	err := o.run(ctx, t, func(cmd *exec.Cmd) {
		cmd.Stderr = io.MultiWriter(cmd.Stderr, &said)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Env = append(cmd.Env, s.Env...)
		if s.PIN != "" {
			cmd.Env = append(cmd.Env, "KBUILD_SIGN_PIN="+string(s.PIN))
		}
	}, args...)
	if err == nil {
		return nil
	}
	if te := (*ToolError)(nil); errors.As(err, &te) {
		return err
	}
	return &programError{text: s.redact(err.Error()), said: s.redact(said.String()), ctx: ctx.Err()}
}

// redact takes the PIN out of what is shown to others.
func (s *Signer) redact(text string) string {
	if s.PIN == "" {
		return text
	}
	return strings.ReplaceAll(text, string(s.PIN), "(secret)")
}

// programError is what a program that uses the key ended with. It does not
// wrap the error of the run, which might hold the PIN.
type programError struct {
	text, said string
	ctx        error
}

func (e *programError) Error() string { return e.text }

func (e *programError) Unwrap() error { return e.ctx }

// locked tells whether the key is a file that wants a passphrase.
func (s *Signer) locked() bool {
	f, err := os.Open(s.Key)
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return err == nil && bytes.Contains(text, []byte("ENCRYPTED"))
}

// explain says in the user's words what OpenSSL says in its own.
func (s *Signer) explain(err error) error {
	pe, ok := errors.AsType[*programError](err)
	if !ok || pe.ctx != nil {
		return err
	}
	says := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(pe.said, text) {
				return true
			}
		}
		return false
	}
	switch {
	case says("private key does not match certificate"):
		return &KeyError{Reason: fmt.Sprintf("key %s and certificate %s do not belong together", s.Key, s.Certificate), Err: pe}
	case s.inToken() && says("no such engine"):
		return &ToolError{Tool: "the engine pkcs11 of OpenSSL", Package: "libengine-pkcs11-openssl", Err: pe}
	case says("PIN locked"):
		return &KeyError{Reason: fmt.Sprintf("key %s: the token's PIN is locked", s.Key), Err: pe}
	case s.PIN == "" && says("bad password read", "unable to get passphrase", "PIN incorrect", "No PIN code was entered"):
		return &KeyError{Reason: fmt.Sprintf("key %s needs a PIN or passphrase", s.Key), Cure: cureNone, Err: pe}
	case says("PIN incorrect", "PIN invalid"):
		return &KeyError{Reason: fmt.Sprintf("key %s: wrong PIN", s.Key), Cure: cureWrong, Err: pe}
	case says("bad decrypt"), s.PIN != "" && s.locked() && says("nested asn1 error", "DECODER routines::unsupported"):
		// One wrong passphrase in 256 makes a key that only looks damaged.
		return &KeyError{Reason: fmt.Sprintf("key %s: wrong passphrase", s.Key), Cure: cureWrong, Err: pe}
	case s.inToken() && says("object not found", "The private key was not found"):
		return &KeyError{Reason: fmt.Sprintf("key %s: no token has such a key", s.Key), Err: pe,
			Cure: "p11tool --list-all lists tokens and keys"}
	}
	return err
}
