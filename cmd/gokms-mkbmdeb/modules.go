// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/pkg/kmod"
)

// moduleOptions say what is done with modules once they are compiled.
type moduleOptions struct {
	noVerify []string
	noDbgsym bool
	sign     *cell.Signing // nil: they stay unsigned
	doubts   []error       // about what is signed with
}

func moduleFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringSliceFlag{Name: "no-verify", Usage: "do not verify `CHECK` of the modules; repeatable"},
		&ucli.StringFlag{Name: "sign-key", Usage: "sign the modules with the key in `FILE`, or with that of a pkcs11: URI"},
		&ucli.StringFlag{Name: "sign-cert", Usage: "the key's certificate is in `FILE`"},
		&ucli.StringFlag{Name: "sign-pin-file", Usage: "`FILE` holds the key's PIN or passphrase (default: KBUILD_SIGN_PIN)"},
		&ucli.BoolFlag{Name: "require-signed", Usage: "take whatever is doubtful about signatures for an error"},
		&ucli.BoolFlag{Name: "no-dbgsym", Usage: "make no packages of debug symbols"},
	}
}

// newModuleOptions takes the parsed command line; abs makes an option's path
// absolute.
func newModuleOptions(c *ucli.Context, env *cli.Env, abs func(string) string) (moduleOptions, error) {
	o := moduleOptions{noVerify: c.StringSlice("no-verify"), noDbgsym: c.Bool("no-dbgsym") || noAutoDbgsym(env)}
	var errs []error
	for _, name := range o.noVerify {
		if all := kmod.Checks(); !slices.Contains(all, name) {
			errs = append(errs, fmt.Errorf("--no-verify %q: want one of %s", name, strings.Join(all, ", ")))
		}
	}
	var err error
	if o.sign, err = newSigning(c, env, abs); err != nil {
		errs = append(errs, err)
	}
	if o.sign != nil {
		o.doubts = exposed(o.sign.Key, abs("sign-pin-file"))
	}
	if o.sign != nil && o.sign.Required {
		errs, o.doubts = append(errs, o.doubts...), nil
	}
	return o, errors.Join(errs...)
}

// exposed tells of files that hold a secret and can be read by others.
func exposed(key, pin string) []error {
	var doubts []error
	for _, file := range [][2]string{{"--sign-key", key}, {"--sign-pin-file", pin}} {
		if file[1] == "" || kmod.InToken(file[1]) {
			continue
		}
		if err := kmod.CheckPrivate(file[1]); err != nil {
			doubts = append(doubts, fmt.Errorf("%s: %w", file[0], err))
		}
	}
	return doubts
}

// hidePIN keeps what runs without a sandbox from reading in /proc the PIN that
// came by the environment. In a sandbox there is another /proc.
func (c *command) hidePIN() error {
	if c.sandboxed || c.env.Getenv(pinVariable) == "" {
		return nil
	}
	return cli.HideEnvironment()
}

const pinVariable = "KBUILD_SIGN_PIN"

// noAutoDbgsym is as debhelper reads DEB_BUILD_OPTIONS.
func noAutoDbgsym(env *cli.Env) bool {
	words := strings.Fields(env.Getenv("DEB_BUILD_OPTIONS"))
	return slices.Contains(words, "noautodbgsym") || slices.Contains(words, "noddebs")
}

// tokenVariables are those of the environment that the library of a token
// needs.
var tokenVariables = []string{"PKCS11_MODULE_PATH", "SOFTHSM2_CONF", "OPENSSL_CONF"}

// newSigning takes the options for signing, which go together.
func newSigning(c *ucli.Context, env *cli.Env, abs func(string) string) (*cell.Signing, error) {
	key, cert, pin := abs("sign-key"), abs("sign-cert"), abs("sign-pin-file")
	if key == "" {
		var errs []error
		for _, name := range []string{"sign-cert", "sign-pin-file", "require-signed"} {
			if c.IsSet(name) {
				errs = append(errs, fmt.Errorf("--%s wants a key: --sign-key is missing", name))
			}
		}
		return nil, errors.Join(errs...)
	}
	if err := kmod.CheckKeyURI(key); err != nil {
		return nil, fmt.Errorf("--sign-key: %w", err)
	}
	if cert == "" {
		return nil, errors.New("--sign-key wants the key's certificate: --sign-cert is missing")
	}
	s := &cell.Signing{Key: key, Certificate: cert, PIN: kmod.PIN(env.Getenv(pinVariable)), Required: c.Bool("require-signed")}
	for _, name := range tokenVariables {
		if value := env.Getenv(name); value != "" {
			s.Env = append(s.Env, name+"="+value)
		}
	}
	if pin != "" {
		var err error
		if s.PIN, err = kmod.ReadPIN(pin); err != nil {
			return nil, fmt.Errorf("--sign-pin-file: %w", err)
		}
	}
	return s, nil
}
