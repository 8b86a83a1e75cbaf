// SPDX-License-Identifier: MIT

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gokms/gokms/pkg/control"
)

// commonOptions go with every apt command, after the user's.
var commonOptions = []string{
	// What is installed here does not matter: the versions of the archive do.
	"-o", "Dir::State::status=/dev/null",
	// An index in memory takes 0.3 s, one on disk 40 MB; root's would be the
	// machine's.
	"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
	// As root, apt downloads as the user _apt and warns where that one cannot
	// write. It cannot in root's own ~/.cache, and to open that would be worse:
	// what is downloaded is compared with the signed lists anyway.
	"-o", "APT::Sandbox::User=root",
	"-q",
}

// command runs an apt command in dir and returns what it prints. It and what
// it starts end with ctx, and with this process.
func (a *Archive) command(ctx context.Context, dir string, argv ...string) (string, error) {
	words := slices.Concat(argv[:1], a.o.Apt, commonOptions, argv[1:])
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = environ(cmd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	err := a.o.Run(cmd)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		e := &AptError{Args: words, Err: err, Output: complaints(stderr.String())}
		return stdout.String(), a.classify(e)
	}
	return stdout.String(), nil
}

// environ is the caller's environment, with its proxies, but for what is none
// of apt's business.
func environ(cmd *exec.Cmd) []string {
	secret := func(entry string) bool { return strings.HasPrefix(entry, "KBUILD_SIGN_PIN=") }
	return append(slices.DeleteFunc(cmd.Environ(), secret), "LC_ALL=C.UTF-8", "LANGUAGE=")
}

// complaints are the lines of errors in apt's output, else its warnings, each
// once, else all of it.
func complaints(text string) string {
	for _, prefix := range []string{"E: ", "W: "} {
		var lines []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, prefix) && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		if lines != nil {
			return strings.Join(lines, "\n")
		}
	}
	return strings.TrimSpace(text)
}

// What apt says in the C locale, by what it means.
var (
	fullRE        = regexp.MustCompile(`No space left on device|enough free space|Disk quota exceeded`)
	readOnlyRE    = regexp.MustCompile(`Read-only file system`)
	unreachableRE = regexp.MustCompile(`Failed to fetch|Could not (?:resolve|connect)|Unable to connect|Connection (?:failed|timed out|refused)|` +
		`Network is unreachable|Temporary failure|does not have a Release file|Some index files failed`)
)

// classify finds what the user can cure in apt's words. That a file is not
// what the lists say is found by comparing it again, not here.
func (a *Archive) classify(e *AptError) error {
	switch {
	case fullRE.MatchString(e.Output):
		return &CacheError{Dir: a.o.CacheDir, Err: fmt.Errorf("%w: %w", syscall.ENOSPC, e)}
	case readOnlyRE.MatchString(e.Output):
		return &CacheError{Dir: a.o.CacheDir, Err: fmt.Errorf("%w: %w", syscall.EROFS, e)}
	case hashRE.MatchString(e.Output):
		return e
	case unreachableRE.MatchString(e.Output):
		return &UnreachableError{e}
	}
	return e
}

// hashRE is what apt says of a file that is not what its lists say.
var hashRE = regexp.MustCompile(`Hash Sum mismatch|unexpected size|Mirror sync in progress`)

// isHashMismatch says whether apt found one.
func isHashMismatch(err error) bool {
	e, ok := errors.AsType[*AptError](err)
	return ok && hashRE.MatchString(e.Output)
}

// parsePackages reads what apt-cache show prints.
func parsePackages(text string) ([]Package, error) {
	stanzas, err := control.Parse(strings.NewReader(text), "apt-cache show")
	if err != nil {
		return nil, err
	}
	var all []Package
	for _, s := range stanzas {
		p, err := newPackage(s)
		if err != nil {
			return nil, err
		}
		if p.SHA256 != "" { // else it cannot be had
			all = append(all, p)
		}
	}
	return all, nil
}
