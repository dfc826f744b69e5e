# Sourced by what builds or tests this checkout, from its root: finds, or installs, what that takes.
#
#   need ip iproute2        the package iproute2, unless there is a program ip
#   need_compiler           a C compiler that can link, with the headers of libc
#   need_rust               cargo, as new as Cargo.toml asks for
#   install_missing         installs all of it: packages by apt or dnf, Rust by rustup after asking
#
# `yes=1` agrees to rustup beforehand. A user other than root installs by sudo.

me=${0#./}
yes=${yes-}
missing=()
rust_missing=

say() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
fail() { # CODE TEXT
    printf '%s: %s\n' "$me" "$2" >&2
    exit "$1"
}

# Every program that sources this answers --help with the comment at its top, before it does anything. Its path is as it
# was called: from where it was, before it went to the root.
for argument in "$@"; do
    case $argument in
        -h | --help)
            (cd "${OLDPWD:-.}" && sed -n '2,/^[^#]/{s/^# \{0,1\}//p;/^#$/s///p}' "$0")
            exit 0
            ;;
    esac
done

# The checkout may belong to somebody else, as in a container: git looks into it only where it is told so.
of_git=${GIT_CONFIG_COUNT:-0}
export "GIT_CONFIG_KEY_$of_git=safe.directory" "GIT_CONFIG_VALUE_$of_git=$(pwd -P)" GIT_CONFIG_COUNT=$((of_git + 1))

if command -v apt-get >/dev/null; then family=apt; elif command -v dnf >/dev/null; then family=dnf; else family=; fi

want() { # DEBS RPMS: packages, by their names in each family
    local packages=$1
    [ "$family" != dnf ] || packages=$2
    for package in $packages; do missing+=("$package"); done
}

need() { # PROGRAM DEB [RPM]
    command -v "$1" >/dev/null || want "$2" "${3-$2}"
}

links() { # COMPILER SUFFIX: whether it makes a program
    command -v "$1" >/dev/null || return 1
    local directory status=0
    directory=$(mktemp -d)
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' >"$directory/program.$2"
    "$1" -o "$directory/program" "$directory/program.$2" 2>/dev/null || status=1
    rm -rf "$directory"
    return "$status"
}

# A compiler alone is not enough: Debian's package of it only recommends the headers and start files of libc.
need_compiler() { links cc c || want "gcc libc6-dev" "gcc glibc-devel"; }

# Cargo finds no registry without certificates, and says so late.
need_certificates() {
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] ||
        want ca-certificates ca-certificates
}

# Of the same user's home, `sudo` leaves neither the path nor the variables.
caller_home() {
    [ -z "${SUDO_USER-}" ] || [ "$(id -u)" -ne 0 ] || getent passwd "$SUDO_USER" | cut -d: -f6
}

recent_enough() { # whether the cargo of the path is
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$version" ] && [ "$(printf '%s\n' "$rust" "$version" | sort -V | head -n 1)" = "$rust" ]
}

need_rust() {
    rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    need_certificates
    ! recent_enough || return 0
    local old=$PATH home
    # A shell that is not a login shell has not read what rustup wrote into its profile.
    for home in "${CARGO_HOME-}" "${HOME-}/.cargo"; do
        if [ -x "$home/bin/cargo" ]; then
            export PATH=$home/bin:$old
            ! recent_enough || return 0
        fi
    done
    home=$(caller_home)
    if [ -n "$home" ] && [ -x "$home/.cargo/bin/cargo" ]; then
        export PATH=$home/.cargo/bin:$old CARGO_HOME=$home/.cargo RUSTUP_HOME=${RUSTUP_HOME-$home/.rustup}
        ! recent_enough || return 0
        unset CARGO_HOME
    fi
    PATH=$old
    rust_missing=1
    command -v rustup >/dev/null || need curl curl
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    [ -n "$family" ] || fail 69 "missing: ${missing[*]}; there is neither apt-get nor dnf to install it with"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        local by="dnf install"
        [ "$family" = dnf ] || by="apt-get update && apt-get install"
        fail 77 "missing: ${missing[*]}; there is no sudo to install it with. As root: $by ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    if [ "$family" = dnf ]; then
        as_root dnf install -q -y "${missing[@]}"
        return
    fi
    mkdir -p target
    (
        # .ci/run has packages built meanwhile, and apt waits for nobody.
        flock 9
        as_root apt-get update -q || echo "$me: apt-get update failed; going on with the lists that are there" >&2
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    ) 9>target/apt.lock
}

install_rust() {
    local what="Rust $rust or newer is missing" how answer
    how="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    if command -v rustup >/dev/null; then how="rustup toolchain install stable --profile minimal"; fi
    if [ -z "$yes" ]; then
        [ -t 0 ] && [ -t 2 ] || fail 69 "$what. Install it from https://rustup.rs, or let this do it: $me --yes"
        printf '%s: %s. Install it by rustup, for this user only? [y/N] ' "$me" "$what" >&2
        read -r answer || answer=
        case $answer in
            y | Y | yes) ;;
            *) fail 69 "$what. Install it from https://rustup.rs, and come again" ;;
        esac
    fi
    say "installing Rust: $how"
    "$BASH" -o pipefail -c "$how" || fail 69 "$what, and rustup did not install it; see https://rustup.rs"
    export RUSTUP_TOOLCHAIN=stable PATH="${CARGO_HOME-$HOME/.cargo}/bin:$PATH"
    recent_enough || fail 69 "$what, also after rustup; see https://rustup.rs"
}

install_missing() {
    [ ${#missing[@]} -eq 0 ] || install_packages
    missing=()
    [ -z "$rust_missing" ] || install_rust
    rust_missing=
}

# After `sudo`: what was built is the caller's again, who could not build any more otherwise. Trees of other systems
# keep their owners.
give_back() {
    [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_UID-}" ] || return 0
    local places=(target) home place
    home=$(caller_home)
    # With `sudo -E` these are the caller's although nothing names them.
    for place in "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"; do
        case $place in "${home:-/nowhere}"/*) [ ! -d "$place" ] || places+=("$place") ;; esac
    done
    find "${places[@]}" -xdev \( -path target/packaging/debian -o -path target/packaging/minimal \) -prune \
        -o -user 0 -exec chown -h "$SUDO_UID:${SUDO_GID-}" {} + 2>/dev/null || true
}
