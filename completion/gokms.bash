# SPDX-License-Identifier: MIT
# Completion of gokms's command line, for bash.

_gokms() {
	local verbs=(help kernels rebuild)
	local kernels_flags=(--help --json --offline --quiet --verbose)
	local kernels_valued=(--apt-options --arch --cache-dir --headers --modules-root)
	local rebuild_flags=(--help --offline --quiet --verbose)
	local rebuild_valued=(--apt-options --cache-dir --output --source)
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
	case $verb in
	help) _gokms_offer "${verbs[@]}" ;;
	kernels) _gokms_verb "${kernels_flags[@]}" "${kernels_valued[@]}" ;;
	rebuild)
		_gokms_verb "${rebuild_flags[@]}" "${rebuild_valued[@]}"
		[[ $current == -* || $previous == -* && $previous != -[qv] ]] || _gokms_paths -f
		;;
	esac
}

# _gokms_verb OPTION... completes the command line of a verb with these options.
_gokms_verb() {
	case $previous in
	-o | --output | --cache-dir | --modules-root) _gokms_paths -d ;;
	--headers | --source)
		_gokms_paths -d
		_gokms_paths -f -X '!*.deb'
		;;
	-a | --arch) _gokms_offer amd64 arm64 armhf i386 loong64 mips64el ppc64el riscv64 s390x ;;
	--apt-options) ;;
	*) [[ $current != -* ]] || _gokms_offer "$@" ;;
	esac
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
