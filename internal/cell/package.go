// SPDX-License-Identifier: MIT

package cell

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gokms/gokms/internal/source"
	"github.com/gokms/gokms/pkg/bmdeb"
	"github.com/gokms/gokms/pkg/changelog"
	"github.com/gokms/gokms/pkg/control"
)

// pkg resolves all fields of the package.
func (c *Cell) pkg() (bmdeb.Package, error) {
	o, deb := c.opts, &c.Source.Debian
	p := bmdeb.Package{
		Maintainer:   cmp.Or(o.Maintainer, deb.Maintainer, o.FallbackMaint),
		Homepage:     deb.Homepage,
		Description:  deb.Description,
		Kernel:       c.Kernel.Tree,
		DestDir:      o.DestDir,
		Coexist:      o.Coexist,
		Provides:     o.Provides,
		ModTime:      c.clock,
		Compression:  o.Compression,
		Copyright:    deb.Copyright,
		RemakeInitrd: c.Conf.RemakeInitrd,
	}
	if o.Copyright != nil {
		p.Copyright = o.Copyright
	}
	if err := c.identify(&p); err != nil {
		return p, err
	}
	if p.Maintainer == "" {
		return p, &source.Error{
			Err:  fmt.Errorf("%s: no maintainer for package %s-modules-KVER", c.Source.Arg, p.Name),
			Cure: "set DEBEMAIL (and DEBFULLNAME), or pass --maintainer 'NAME <ADDRESS>'",
		}
	}
	if p.Copyright == nil {
		c.Warnings = append(c.Warnings, &source.Error{
			Err:  fmt.Errorf("%s: no copyright file for package %s-modules-KVER", c.Source.Arg, p.Name),
			Cure: "pass one with --copyright FILE",
		})
	}
	var err error
	if p.Changelog, err = c.changelog(&p); err != nil {
		return p, err
	}
	if err := c.planDepmod(&p); err != nil {
		return p, err
	}
	return p, c.tryPack(p)
}

// identify sets name, version, source and the -dkms packages of p.
func (c *Cell) identify(p *bmdeb.Package) error {
	o, deb := c.opts, &c.Source.Debian
	var err error
	if p.Name = o.Name; p.Name == "" {
		if p.Name, err = bmdeb.ModuleName(c.Conf.Name); err != nil {
			return c.Conf.Values.Errorf("PACKAGE_NAME", 0, "%w", err)
		}
	}
	if p.Version = cmp.Or(o.PackageVersion, deb.Version); p.Version == "" {
		if p.Version, err = bmdeb.Version(c.Conf.Version); err != nil {
			return c.Conf.Values.Errorf("PACKAGE_VERSION", 0, "%w", err)
		}
	}
	p.Source, p.SourceVersion = cmp.Or(deb.Source, p.Name), cmp.Or(deb.SourceVersion, p.Version)
	if o.Revision != "" {
		p.Version += "+" + o.Revision
	}
	p.DKMSPackages = []string{c.rival(p)}
	return nil
}

// rival is the -dkms package of the source. What a bare directory would be
// called as a package can only be guessed, and not from --name.
func (c *Cell) rival(p *bmdeb.Package) string {
	if c.Source.Debian.Binary != "" {
		return c.Source.Debian.Binary
	}
	if name, err := bmdeb.ModuleName(c.Conf.Name); err == nil {
		return name + "-dkms"
	}
	return p.Name + "-dkms"
}

// tryPack makes the control file with stand-in modules, so that fields and
// names which no package can have end the plan.
func (c *Cell) tryPack(p bmdeb.Package) error {
	for _, m := range c.built() {
		p.Modules = append(p.Modules, bmdeb.Module{Name: m.DestName, Suffix: suffix(c.compression)})
	}
	deb, err := p.Deb()
	if err != nil {
		return err
	}
	if _, err := control.Format(deb.Control); err != nil {
		return fmt.Errorf("package %s: %w", p.Binary(), err)
	}
	return nil
}

// entryDate is when a made changelog entry is from: later than the source's
// newest, as dpkg and lintian expect of every entry.
func (c *Cell) entryDate() time.Time {
	if before := c.Source.Debian.ChangelogDate; !before.IsZero() && !c.clock.After(before) {
		return before.Add(time.Second).UTC().Truncate(time.Second)
	}
	return c.clock
}

// changelog is the source's own, below a new entry where the package's version
// is not its newest, or a made one.
func (c *Cell) changelog(p *bmdeb.Package) ([]byte, error) {
	deb := &c.Source.Debian
	if deb.Changelog != nil && p.Version == deb.Version {
		return deb.Changelog, nil
	}
	what := fmt.Sprintf("  * Binary module package built from %s/%s with dkms.conf.", c.Conf.Name, c.Conf.Version)
	if deb.Version != "" {
		what = fmt.Sprintf("  * Binary module package built from %s %s.", p.Source, p.SourceVersion)
	}
	entry, err := changelog.Format(changelog.Entry{
		Source: p.Source, Version: p.Version, Distributions: []string{"unstable"}, Urgency: "medium",
		Changes: []string{what}, Maintainer: address(p.Maintainer).name, Email: address(p.Maintainer).email,
		Date: c.entryDate(),
	})
	if err != nil {
		return nil, err
	}
	if deb.Changelog == nil {
		return entry, nil
	}
	return append(append(entry, '\n'), deb.Changelog...), nil
}
