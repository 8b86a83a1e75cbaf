# SPDX-License-Identifier: MIT
# Completion of gokms's command line, for bash.

_gokms() {
	local verbs=(check help kernels rebuild sign status)
	local check_flags=(--help --json --offline --quiet --verbose)
	local check_valued=(--apt-options --arch --cache-dir --cert --headers --kernel --modules-root --no-verify --symvers)
	local kernels_flags=(--help --json --offline --quiet --verbose)
	local kernels_valued=(--apt-options --arch --cache-dir --headers --modules-root)
	local rebuild_flags=(--help --offline --quiet --verbose)
	local rebuild_valued=(--apt-options --cache-dir --output --sandbox --sign-key --sign-pin-file --source)
	local sign_extract_flags=(--help --offline --quiet --verbose)
	local sign_extract_valued=(--apt-options --arch --cache-dir --hash --headers --modules-root --output)
	local sign_attach_flags=(--help --quiet --unpublished --verbose)
	local sign_attach_valued=(--changes --manifest --output --revision --sign-cert --signatures)
	local status_flags=(--check --help --json --quiet --verbose)
	local status_valued=(--kernel --root)
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	# bash takes "--output=DIR" for three words.
	if [[ $current == = ]]; then
		current=
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		_gokms_offer "${verbs[@]}" --help --version
		return
	fi
	if [[ $verb == sign || $verb == help && ${COMP_WORDS[2]} == sign && $COMP_CWORD -eq 3 ]]; then
		_gokms_sign
		return
	fi
	case $verb in
	help) _gokms_offer "${verbs[@]}" ;;
	check)
		_gokms_verb "${check_flags[@]}" "${check_valued[@]}"
		_gokms_argument .deb .ko .ko.xz .ko.zst .ko.gz
		;;
	kernels) _gokms_verb "${kernels_flags[@]}" "${kernels_valued[@]}" ;;
	rebuild)
		_gokms_verb "${rebuild_flags[@]}" "${rebuild_valued[@]}"
		_gokms_argument
		;;
	status) _gokms_verb "${status_flags[@]}" "${status_valued[@]}" ;;
	esac
}

# _gokms_sign completes the verbs that sign, each of two words.
_gokms_sign() {
	if [[ $COMP_CWORD -eq 2 && $verb == sign || $COMP_CWORD -eq 3 && $verb == help ]]; then
		_gokms_offer extract attach
		return
	fi
	case ${COMP_WORDS[2]} in
	extract) _gokms_verb "${sign_extract_flags[@]}" "${sign_extract_valued[@]}" ;;
	attach) _gokms_verb "${sign_attach_flags[@]}" "${sign_attach_valued[@]}" ;;
	*) return ;;
	esac
	_gokms_argument .deb
}

# _gokms_argument [SUFFIX...] completes an argument that is a file, of a name with
# one of these suffixes.
_gokms_argument() {
	[[ $current != -* ]] || return
	case $previous in
	-[qv] | --help | --json | --offline | --quiet | --unpublished | --verbose) ;;
	-*) return ;;
	esac
	if [[ $# -eq 0 ]]; then
		_gokms_paths -f
		return
	fi
	local suffix
	_gokms_paths -d
	for suffix; do
		_gokms_paths -f -X "!*$suffix"
	done
}

# _gokms_verb OPTION... completes the command line of a verb with these options.
_gokms_verb() {
	case $previous in
	-o | --output | --cache-dir | --modules-root | --root | --signatures) _gokms_paths -d ;;
	--headers | --source)
		_gokms_paths -d
		_gokms_paths -f -X '!*.deb'
		;;
	-a | --arch) _gokms_offer amd64 arm64 armhf i386 loong64 mips64el ppc64el riscv64 s390x ;;
	-k | --kernel) _gokms_kernels ;;
	--sandbox) _gokms_offer auto off on ;;
	--cert | --sign-cert | --sign-key | --sign-pin-file | --symvers | --manifest | --changes) _gokms_paths -f ;;
	--hash) _gokms_offer sha1 sha224 sha256 sha384 sha512 ;;
	--no-verify) _gokms_offer elf vermagic name modinfo license symbols crc namespace exports depends btf mitigations override ;;
	--apt-options | --revision) ;;
	*) [[ $current != -* ]] || _gokms_offer "$@" ;;
	esac
}

# _gokms_kernels completes a kernel: one whose headers are installed; for status
# any that is.
_gokms_kernels() {
	local build
	if [[ $verb == status ]]; then
		for build in /lib/modules/*/; do
			[[ ! -d $build ]] || _gokms_offer "$(basename "$build")"
		done
		return
	fi
	for build in /lib/modules/*/build/include; do
		[[ -d $build ]] || continue
		build=${build%/build/include}
		_gokms_offer "${build##*/}"
	done
	_gokms_offer all apt:linux-headers-
}

# _gokms_offer WORD... offers words. It is not compgen -W, which would run
# commands that the names of files hold.
_gokms_offer() {
	local word
	for word; do
		[[ $word != "$current"* ]] || COMPREPLY+=("$word")
	done
}

# _gokms_paths ACTION... offers files as compgen selects them; where there are
# none, readline tries: it knows of quoted words.
_gokms_paths() {
	local found
	compopt -o filenames -o default
	mapfile -t found < <(compgen "$@" -- "$current")
	COMPREPLY+=("${found[@]}")
}

complete -F _gokms gokms
