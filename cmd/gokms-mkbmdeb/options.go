// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"github.com/gokms/gokms/internal/cell"
	"github.com/gokms/gokms/internal/cli"
	"github.com/gokms/gokms/internal/target/flags"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/control"
	"github.com/gokms/gokms/pkg/debfile"
	"github.com/gokms/gokms/pkg/dkms"
	"github.com/gokms/gokms/pkg/textfile"
	"github.com/gokms/gokms/pkg/version"
)

// options are the command line, checked.
type options struct {
	sources    []string
	kernels    []string
	places     *flags.Options // where kernels come from
	sourceTree string
	sourceDir  string
	output     string
	logDir     string
	record     string // file
	jobs       int

	maintainer     string
	fallbackMaint  string
	name           string
	packageVersion string
	revision       string
	provides       []string
	copyright      []byte
	coexist        bool
	destDir        string
	compression    debfile.Compression
	overrides      string
	directives     []string
	epoch          *time.Time

	moduleOptions
	depmodOptions

	sandbox cell.Confinement
	timeout time.Duration // of a build; 0: none
	memory  int64         // bytes; 0: no limit

	words  []string // that settle what is built, for the record
	inputs []input  // that they name

	keepBuild bool
	json      bool
	noAct     bool
	level     cli.Level
}

func commandFlags() []ucli.Flag {
	return append(slices.Concat(flags.Flags(), moduleFlags(), depmodFlags()),
		&ucli.StringSliceFlag{Name: "kernel", Aliases: []string{"k"}, Usage: "build for the kernel release `KVER`; repeatable; \"all\": every installed one; apt:GLOB: header packages of the archive"},
		&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: ".", Usage: "write the packages to `DIR`"},
		&ucli.StringFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "run `N` compiler jobs at once (default: parallel= of DEB_BUILD_OPTIONS, else the number of CPUs)"},
		&ucli.StringFlag{Name: "source-tree", Value: "/usr/src", Usage: "find NAME/VERSION below `DIR`"},
		&ucli.StringFlag{Name: "source-dir", Usage: "take the module's files from `DIR`, not from where the source has them"},
		&ucli.StringFlag{Name: "name", Usage: "call the packages `NAME`-modules-KVER"},
		&ucli.StringFlag{Name: "package-version", Usage: "give the packages the version `VERSION`"},
		&ucli.StringFlag{Name: "revision", Usage: "append +`REV` to the packages' version"},
		&ucli.StringFlag{Name: "maintainer", Usage: "`NAME <ADDRESS>` of the packages' maintainer (default: the source's, else DEBFULLNAME and DEBEMAIL)"},
		&ucli.StringSliceFlag{Name: "provides", Usage: "let the packages also provide `RELATION`; repeatable"},
		&ucli.StringFlag{Name: "copyright", Usage: "ship `FILE` as the packages' copyright"},
		&ucli.BoolFlag{Name: "coexist", Usage: "do not conflict with the -dkms package; install below " + bmdeb.CoexistDestDir},
		&ucli.StringFlag{Name: "dest-dir", Usage: "install modules to `DIR` below modules/KVER (default: " + bmdeb.DefaultDestDir + ")"},
		&ucli.StringFlag{Name: "compression", Value: "xz", Usage: "compress the packages with `xz|zstd|gzip|none`"},
		&ucli.StringFlag{Name: "overrides", Usage: "read NAME*.conf files in `DIR` after dkms.conf, as dkms does in /etc/dkms"},
		&ucli.StringSliceFlag{Name: "directive", Usage: "set a dkms.conf directive after all files: `NAME=VALUE`; repeatable"},
		&ucli.StringFlag{Name: "log-dir", Usage: "write build logs to `DIR` (default: the output directory)"},
		&ucli.StringFlag{Name: "record", Usage: "write to `FILE` what went in, for gokms rebuild"},
		&ucli.StringFlag{Name: "sandbox", Value: string(cell.On), Usage: "build in a sandbox: `on|off|auto`"},
		&ucli.DurationFlag{Name: "timeout", Value: 2 * time.Hour, Usage: "end a build that takes longer than `TIME`, such as 90s, 30m or 2h; 0: never"},
		&ucli.StringFlag{Name: "memory", Usage: "end a build that uses more memory than `SIZE`, such as 512M or 4G, in the sandbox"},
		&ucli.BoolFlag{Name: "keep-build", Usage: "keep the build directories and say where they are"},
		&ucli.BoolFlag{Name: "no-act", Aliases: []string{"n"}, Usage: "print what would be built; build nothing"},
		&ucli.BoolFlag{Name: "json", Usage: "print results as JSON"},
		&ucli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "tell each command that is run"},
		&ucli.BoolFlag{Name: "version", Usage: "print the version"},
		&ucli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "tell errors only"},
	)
}

// newOptions takes the parsed command line, and from env what it may default to.
// All of its errors are the user's to cure.
func newOptions(c *ucli.Context, env *cli.Env) (*options, error) {
	abs := func(name string) string {
		p := c.String(name)
		if p == "" || filepath.IsAbs(p) || strings.HasPrefix(p, "pkcs11:") {
			return p
		}
		return filepath.Join(env.Dir, p)
	}
	o := &options{
		sources:    c.Args().Slice(),
		kernels:    c.StringSlice("kernel"),
		sourceTree: abs("source-tree"), sourceDir: abs("source-dir"),
		output: abs("output"), logDir: abs("log-dir"), record: abs("record"), overrides: abs("overrides"),
		maintainer: c.String("maintainer"), fallbackMaint: fallbackMaintainer(env),
		name: c.String("name"), packageVersion: c.String("package-version"), revision: c.String("revision"),
		provides: c.StringSlice("provides"), directives: c.StringSlice("directive"),
		coexist: c.Bool("coexist"), destDir: c.String("dest-dir"),
		compression: debfile.Compression(c.String("compression")),
		sandbox:     cell.Confinement(c.String("sandbox")), timeout: c.Duration("timeout"),
		keepBuild: c.Bool("keep-build"), json: c.Bool("json"), noAct: c.Bool("no-act"), level: level(c),
	}
	o.words, o.inputs = recordedOptions(c, abs)
	var errs []error
	var err error
	if o.places, err = flags.New(c, env); err != nil {
		errs = append(errs, err)
	}
	if o.jobs, err = jobs(c, env); err != nil {
		errs = append(errs, err)
	}
	if o.epoch, err = epoch(env); err != nil {
		errs = append(errs, err)
	}
	if o.memory, err = memory(c.String("memory")); err != nil {
		errs = append(errs, err)
	}
	if o.moduleOptions, err = newModuleOptions(c, env, abs); err != nil {
		errs = append(errs, err)
	}
	if o.depmodOptions, err = newDepmodOptions(c, abs); err != nil {
		errs = append(errs, err)
	}
	o.inputs = append(o.inputs, o.depmodInputs...)
	if o.noDbgsym && !c.Bool("no-dbgsym") {
		o.words = append(o.words, "--no-dbgsym") // as the environment said
	}
	if file := abs("copyright"); file != "" {
		if o.copyright, err = textfile.ReadFile(file, maxCopyright); err == nil && len(o.copyright) == 0 {
			err = fmt.Errorf("%s is empty", file)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--copyright: %w", err))
		}
	}
	if c.Bool("verbose") && c.Bool("quiet") {
		errs = append(errs, errors.New("--verbose and --quiet contradict each other"))
	}
	return o, errors.Join(append(errs, o.check()...)...)
}

// maxCopyright is the largest copyright file, in bytes, that is read.
const maxCopyright = 64 << 20

func level(c *ucli.Context) cli.Level {
	switch {
	case c.Bool("quiet"):
		return cli.Quiet
	case c.Bool("verbose"):
		return cli.Verbose
	}
	return cli.Normal
}

// check refuses values that no package could be made with, and flags that do
// not go together.
func (o *options) check() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.name != "" {
		if err := control.ValidPackageName(o.name); err != nil {
			bad("--name: %w", err)
		}
	}
	if len(o.sources) > 1 {
		errs = append(errs, o.oneSource(fmt.Sprintf("%d are given", len(o.sources)))...)
	}
	if o.packageVersion != "" {
		if err := version.Validate(o.packageVersion); err != nil {
			bad("--package-version: %w", err)
		}
	}
	if o.revision != "" {
		if err := version.ValidRevision(o.revision); err != nil {
			bad("--revision %q: %w", o.revision, err)
		}
	}
	for _, p := range o.provides {
		if err := bmdeb.CheckProvides(p); err != nil {
			bad("--provides: %w", err)
		}
	}
	if o.destDir != "" {
		if err := bmdeb.CheckDestDir(o.destDir); err != nil {
			bad("--dest-dir: %w", err)
		}
	}
	switch o.compression {
	case debfile.XZ, debfile.Zstd, debfile.Gzip, debfile.None:
	default:
		bad("--compression %q: want xz, zstd, gzip or none", o.compression)
	}
	for _, d := range o.directives {
		name, _, _ := strings.Cut(d, "=")
		switch {
		case !directiveRE.MatchString(d):
			bad("--directive %q: want NAME=VALUE", d)
		case !slices.Contains(dkms.Directives(), name):
			bad("--directive %q: dkms.conf has no directive %s", d, name)
		}
	}
	for _, dir := range [][2]string{{"--overrides", o.overrides}, {"--source-dir", o.sourceDir}} {
		if info, err := os.Stat(dir[1]); dir[1] != "" && (err != nil || !info.IsDir()) {
			bad("%s %s: no such directory", dir[0], dir[1])
		}
	}
	return append(append(errs, o.checkBuild()...), o.checkMaintainer()...)
}

// checkBuild does the same for what is about the build.
func (o *options) checkBuild() []error {
	var errs []error
	if err := o.sandbox.Check(); err != nil {
		errs = append(errs, err)
	}
	if o.timeout < 0 {
		errs = append(errs, fmt.Errorf("--timeout %s: want no negative time", o.timeout))
	}
	if o.memory > 0 && o.sandbox == cell.Off {
		errs = append(errs, errors.New("--memory wants a sandbox, which --sandbox=off forbids"))
	}
	if o.record != "" && o.noAct {
		errs = append(errs, errors.New("--record and --no-act contradict each other: nothing is built that could be recorded"))
	}
	return errs
}

// oneSource refuses options that cannot go for several sources.
func (o *options) oneSource(several string) []error {
	var errs []error
	for _, option := range [][2]string{{"--name", o.name}, {"--package-version", o.packageVersion}, {"--source-dir", o.sourceDir}} {
		if option[1] != "" {
			errs = append(errs, fmt.Errorf("%s goes with one source; %s", option[0], several))
		}
	}
	return errs
}

// checkMaintainer wants the form of Policy 5.6.2.
func (o *options) checkMaintainer() []error {
	switch {
	case o.maintainer != "" && !maintainerRE.MatchString(o.maintainer):
		return []error{fmt.Errorf("--maintainer %q: want 'NAME <ADDRESS>'", o.maintainer)}
	case o.maintainer == "" && o.fallbackMaint != "" && !maintainerRE.MatchString(o.fallbackMaint):
		return []error{fmt.Errorf("DEBFULLNAME and DEBEMAIL make %q: want 'NAME <ADDRESS>'", o.fallbackMaint)}
	}
	return nil
}

var (
	directiveRE  = regexp.MustCompile(`^[A-Z_]+=`)
	maintainerRE = regexp.MustCompile(`^[^<>[:cntrl:]]+ <[^<>@[:space:][:cntrl:]]+@[^<>@[:space:][:cntrl:]]+>$`)
)

// jobs is -j, else parallel=N of DEB_BUILD_OPTIONS, else the number of CPUs.
func jobs(c *ucli.Context, env *cli.Env) (int, error) {
	if c.IsSet("jobs") {
		return count("--jobs "+c.String("jobs"), c.String("jobs"))
	}
	for _, word := range strings.Fields(env.Getenv("DEB_BUILD_OPTIONS")) {
		if value, ok := strings.CutPrefix(word, "parallel="); ok {
			return count("DEB_BUILD_OPTIONS: "+word, value)
		}
	}
	return runtime.NumCPU(), nil
}

func count(shown, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s: want a number of at least 1", shown)
	}
	return n, nil
}

// memory reads a number of bytes with a suffix K, M, G or T, for powers of 1024;
// "" is 0.
func memory(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "KMGT")
	n, err := strconv.ParseInt(digits, 10, 64)
	shift := 0
	if unit := text[len(digits):]; unit != "" {
		shift = 10 * (1 + strings.Index("KMGT", unit))
	}
	if err != nil || shift < 0 || shift > 40 || len(text)-len(digits) > 1 || n < 1 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("--memory %s: want a size such as 512M or 4G", text)
	}
	if n<<shift < minMemory {
		return 0, fmt.Errorf("--memory %s: want at least %dM, which a compiler needs", text, minMemory>>20)
	}
	return n << shift, nil
}

// minMemory is the least that --memory takes, in bytes.
const minMemory = 64 << 20

// epoch is SOURCE_DATE_EPOCH (reproducible-builds.org), nil where it is unset.
func epoch(env *cli.Env) (*time.Time, error) {
	value := env.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 0 {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH %q: want seconds since 1970", value)
	}
	if seconds > cell.LastSecond {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH %q: want at most %d, the last second that a package can hold", value, int64(cell.LastSecond))
	}
	t := time.Unix(seconds, 0).UTC()
	return &t, nil
}

// fallbackMaintainer is "DEBFULLNAME <DEBEMAIL>", as debchange takes them.
func fallbackMaintainer(env *cli.Env) string {
	name, email := env.Getenv("DEBFULLNAME"), env.Getenv("DEBEMAIL")
	switch {
	case email == "":
		return ""
	case strings.Contains(email, "<"): // DEBEMAIL='Name <address>'
		return email
	case name == "":
		return fmt.Sprintf("%s <%s>", email, email)
	}
	return fmt.Sprintf("%s <%s>", name, email)
}
