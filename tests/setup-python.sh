#!/bin/sh
# Makes the Python environment that the signing test compares against: the official SDK of the
# cloud, pinned. Prints the path of its python. Runs again only when the pins below change.
#
# usage: tests/setup-python.sh            needs python3 with venv, and PyPI or a mirror of it
set -eu
cd "$(dirname "$0")/.."

pins='bce-python-sdk==0.9.79
crc32c==2.9.post0
future==1.0.0
pycryptodome==4.4.0
six==1.17.0'

venv="${CARGO_TARGET_DIR:-$PWD/target}/test-python"
stamp="$venv/pins.txt"
mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$pins" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    # shellcheck disable=SC2086  # one word per pin is meant
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps $pins >&2
    printf '%s\n' "$pins" >"$stamp"
fi
echo "$venv/bin/python"
