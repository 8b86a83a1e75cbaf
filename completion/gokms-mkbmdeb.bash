# SPDX-License-Identifier: MIT
# Completion of gokms-mkbmdeb's command line, for bash.

_gokms_mkbmdeb() {
	local flags=(--coexist --depmod-override --help --json --keep-build --no-act --no-dbgsym --offline --quiet --require-signed
		--verbose --version)
	local valued=(--apt-options --arch --cache-dir --compression --copyright --depmod-config --dest-dir --directive --headers
		--jobs --kernel --log-dir --maintainer --memory --modules-root --name --no-verify --output --overrides
		--package-version --provides --record --revision --sandbox --sign-cert --sign-key --sign-pin-file --source-dir
		--source-tree --timeout)
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	# bash takes "--output=DIR" for three words.
	if [[ $current == = ]]; then
		current=
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	case $previous in
	-k | --kernel) _gokms_kernels ;;
	-o | --output | --cache-dir | --depmod-config | --log-dir | --modules-root | --overrides | --source-dir | --source-tree) _gokms_files -d ;;
	--copyright | --headers | --record | --sign-cert | --sign-key | --sign-pin-file) _gokms_files -f ;;
	--no-verify)
		_gokms_words elf vermagic name modinfo license symbols crc namespace exports depends btf mitigations override
		;;
	--compression) _gokms_words gzip none xz zstd ;;
	--sandbox) _gokms_words auto off on ;;
	-a | --arch | --apt-options | -j | --jobs | --dest-dir | --directive | --maintainer | --memory | --timeout | --name | --package-version | --provides | --revision) ;;
	*)
		if [[ $current == -* ]]; then
			_gokms_words "${flags[@]}" "${valued[@]}"
		else
			_gokms_sources
		fi
		;;
	esac
}

# _gokms_words WORD... offers words. It is not compgen -W, which would run
# commands that the names of files hold.
_gokms_words() {
	local word
	for word; do
		[[ $word != "$current"* ]] || COMPREPLY+=("$word")
	done
}

# _gokms_files ACTION... offers files as compgen selects them; where there are
# none, readline tries: it knows of quoted words.
_gokms_files() {
	local found
	compopt -o filenames -o default
	mapfile -t found < <(compgen "$@" -- "$current")
	COMPREPLY+=("${found[@]}")
}

# _gokms_value OPTION DEFAULT prints what the command line says for an option.
_gokms_value() {
	local i value=$2
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == "$1" ]] || continue
		value=${COMP_WORDS[i + 1]}
		[[ $value != = ]] || value=${COMP_WORDS[i + 2]}
	done
	printf '%s\n' "$value"
}

# _gokms_kernels offers the releases that have headers.
_gokms_kernels() {
	local build root
	root=$(_gokms_value --modules-root /lib/modules)
	_gokms_words all
	for build in "$root"/*/build/include; do
		[[ -d $build ]] || continue
		build=${build%/build/include}
		_gokms_words "${build##*/}"
	done
}

# _gokms_sources offers directories, packages, and NAME/VERSION of what is
# below the source tree.
_gokms_sources() {
	local conf tree
	tree=$(_gokms_value --source-tree /usr/src)
	_gokms_files -d
	_gokms_files -f -X '!*.deb'
	for conf in "$tree"/*-*/dkms.conf; do
		[[ -f $conf ]] || continue
		conf=${conf%/dkms.conf}
		conf=${conf##*/}
		_gokms_words "${conf%-*}/${conf##*-}"
	done
}

complete -F _gokms_mkbmdeb gokms-mkbmdeb
