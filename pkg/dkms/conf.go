// SPDX-License-Identifier: MIT

package dkms

// Env is what a dkms.conf sees of the world: the variables that dkms sets
// before it sources the file. Nothing is taken from the running kernel. Before
// a kernel is known, the fields about it are empty.
type Env struct {
	KernelVersion   string   // $kernelver, e.g. 6.1.0-56-amd64
	Arch            string   // $arch, as uname -m says it: x86_64, aarch64
	Module          string   // $module: PACKAGE_NAME, where it is known already
	ModuleVersion   string   // $module_version: PACKAGE_VERSION, likewise
	KernelSourceDir string   // $kernel_source_dir, as the build sees it
	KernelConfig    string   // $kernel_config: include/config/auto.conf, else .config; "" where there is none
	DKMSTree        string   // $dkms_tree; the build directory is DKMSTree/NAME/VERSION/build
	SourceTree      string   // $source_tree; the source is SourceTree/NAME-VERSION
	InstallTree     string   // $install_tree: /lib/modules
	TmpDir          string   // $tmp_location
	Jobs            int      // $parallel_jobs
	OS              string   // $running_distribution: os-release ID (or first ID_LIKE), e.g. debian
	Dir             string   // working directory of the evaluation, default /
	Environ         []string // environment of the file and its commands, "NAME=VALUE"
}

// Conf is a dkms.conf evaluated for one kernel, validated.
type Conf struct {
	File    string // the dkms.conf, as the user named it
	Name    string // PACKAGE_NAME
	Version string // PACKAGE_VERSION
	Modules []Module

	// Make is the chosen MAKE command (MAKE, MAKE_MATCH, else dkms's default),
	// evaluated, before "KERNELRELEASE=" is put in.
	Make         string
	Patches      []string // file names below patches/ that apply to this kernel, in order
	BuildDepends []string // BUILD_DEPENDS: PACKAGE_NAMEs
	Scripts      Scripts

	// Excluded is set if a global BUILD_EXCLUSIVE_* (or OBSOLETE_BY) rule, or
	// all the modules' own rules, exclude this kernel.
	Excluded *Exclusion

	AutoInstall  bool
	RemakeInitrd bool // REMAKE_INITRD=yes; dkms ignores it, packages act on it
	ObsoleteBy   string
	Clean        string

	Warnings []error // deprecated directives, odd values; with positions

	Values *Values // what it was resolved from; Values.Errorf gives errors a position
}

// Module is one entry of the BUILT_MODULE_NAME, DEST_MODULE_* arrays.
type Module struct {
	Index        int
	BuiltName    string // without .ko
	BuiltDir     string // BUILT_MODULE_LOCATION below the build directory, clean, "" for its root
	DestName     string // without .ko
	DestLocation string // DEST_MODULE_LOCATION as given, e.g. /kernel/drivers/net
	Strip        bool
	Excluded     *Exclusion // this module is not built for this kernel
}

// Scripts are the script directives: a path below the source and arguments,
// split into words; nil: none. PRE_BUILD and POST_BUILD are run by a shell in
// dkms: quotes in them are honoured, operators get a warning.
type Scripts struct {
	PreBuild, PostBuild                          []string
	PreInstall, PostInstall, PostAdd, PostRemove []string
}

// Exclusion says which rule excludes a kernel.
type Exclusion struct {
	Rule  string // e.g. BUILD_EXCLUSIVE_KERNEL
	Value string // its value, e.g. ^(5\.[6-9]\.)
	Found string // what it was held against, e.g. 6.1.0-56-amd64
}
