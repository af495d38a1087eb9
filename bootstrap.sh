#!/usr/bin/env bash
# Set freelane up in .venv: find or build a free-threaded Python, install, compile.
#   ./bootstrap.sh         make or refresh .venv
#   ./bootstrap.sh gil     make .venv-gil on a Python with the GIL, if there is one; prints its python
#   ./bootstrap.sh peers   make the environment of the servers we compare with; prints its python
#   ./bootstrap.sh pinned NAME==VERSION ...  fetch pure Python packages; prints their directory, for PYTHONPATH
#   ./bootstrap.sh release FASTAPI STARLETTE [MORE...]  fetch these releases; prints their directory, for PYTHONPATH
# Safe to interrupt and to run again. See README.md, "Set-up".
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FREELANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freelane}
venv=$root/.venv
work=

say() { printf '%s\n' "freelane: $*" >&2; }
die() { say "$@"; exit 1; }
cleanup() { if [ -n "$work" ]; then rm -rf "$work"; fi; }
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir -p "$cache/python"
# Two runs at once would build the interpreter twice.
exec 9>"$cache/lock"
flock -w 1200 9 || die "another set-up has held $cache/lock for 20 minutes: stop it and run this again"

# Prints "free" or "gil" for a usable Python 3.13+, nothing otherwise.
kind_of() {
    "$1" - 2>/dev/null <<'PY' || true
import sys, sysconfig
import ctypes, ensurepip, sqlite3, ssl, venv
if sys.implementation.name == "cpython" and sys.version_info >= (3, 13):
    print("free" if sysconfig.get_config_var("Py_GIL_DISABLED") else "gil")
PY
}

try() {
    local path
    path=$(command -v "$1" 2>/dev/null) || return 1
    [ "$(kind_of "$path")" = free ] || return 1
    python=$path
}

from_cache() {
    local candidate
    for candidate in $(ls -d "$cache"/python/*/bin/python3.*t 2>/dev/null | sort -Vr); do
        try "$candidate" && return
    done
    return 1
}

from_uv() {
    local uv found
    uv=$(command -v uv) || uv=$cache/uv/bin/uv
    if [ ! -x "$uv" ]; then
        say "getting uv"
        python3 -m venv "$cache/uv" >&2 2>/dev/null && "$cache/uv/bin/pip" install -q uv >/dev/null 2>&1 || return 1
    fi
    say "asking uv for Python 3.14t"
    export UV_PYTHON_INSTALL_DIR=$cache/python
    UV_HTTP_TIMEOUT=20 UV_HTTP_RETRIES=0 timeout 300 "$uv" python install 3.14t >/dev/null 2>&1 || return 1
    found=$("$uv" python find --managed-python 3.14t 2>/dev/null) || return 1
    try "$found"
}

build_packages="build-essential pkg-config libssl-dev zlib1g-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev"

apt_install() {
    # Installs what is missing; returns 1 where that is not possible.
    local package missing=()
    command -v dpkg-query >/dev/null || return 1
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "apt: installing ${missing[*]}"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1
}

from_source() {
    command -v apt-get >/dev/null || { say "no apt-get, so Debian's Python source cannot be fetched"; return 1; }
    local mirror=${FREELANE_DEBIAN_MIRROR:-} keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite package
    if [ -z "$mirror" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/$' | head -n 1) || true
    fi
    [ -n "$mirror" ] || { say "no Debian mirror known: set FREELANE_DEBIAN_MIRROR"; return 1; }
    [ -r "$keyring" ] || { say "no Debian keyring: install debian-archive-keyring"; return 1; }
    # shellcheck disable=SC2086
    if ! apt_install $build_packages; then
        say "building Python needs these packages; install them and run this again:"
        say "  apt-get install $build_packages"
        return 1
    fi
    work=$(mktemp -d "$cache/build.XXXXXX")
    for suite_package in forky:python3.14 forky:python3.13 trixie:python3.13; do
        suite=${suite_package%:*} package=${suite_package#*:}
        fetch "$suite" "$package" && build "$package" && return
    done
    return 1
}

fetch() {
    # apt checks the archive's signature and the package's checksums.
    local suite=$1 package=$2 dir=$work/$1
    mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$work/$package"
    printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$dir/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives"
        -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=30)
    say "fetching the source of $package from Debian $suite"
    "${apt[@]}" update >"$cache/fetch.log" 2>&1 || { say "  Debian $suite cannot be read"; return 1; }
    (cd "$work/$package" && "${apt[@]}" source --download-only --only-source "$package") >>"$cache/fetch.log" 2>&1 ||
        { say "  not to be had"; rm -rf "${work:?}/$package"; return 1; }
}

build() {
    local package=$1 source=$work/$1/src version prefix
    mkdir "$source"
    tar -C "$source" --strip-components 1 -xf "$work/$package"/*.orig.tar.* || return 1
    version=$(sed -n 's/^#define PY_VERSION *"\(.*\)"/\1/p' "$source/Include/patchlevel.h")
    prefix=$cache/python/${version}t
    say "building free-threaded Python $version in $prefix (about two minutes; log in $cache/build.log)"
    (
        cd "$source"
        ./configure --disable-gil --prefix="$prefix" --disable-test-modules --without-static-libpython
        make -s -j"$(nproc)"
        make -s install DESTDIR="$work/dest"
    ) >"$cache/build.log" 2>&1 || { say "  the build failed: see $cache/build.log"; return 1; }
    # One rename, so that an interrupted run leaves no half of an interpreter.
    rm -rf "$prefix"
    mv "$work/dest$prefix" "$prefix"
    try "$prefix/bin/python${version%.*}t" || { say "  the result does not work"; rm -rf "$prefix"; return 1; }
}

gil_python() {
    # The newest CPython with the GIL at or above $1, also from pyenv.
    local candidate
    for candidate in python3.15 python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$candidate" || true
    done >"$cache/candidates"
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3 2>/dev/null >>"$cache/candidates" || true
    while read -r candidate; do
        "$candidate" -c 'import sys, sysconfig, ssl, venv, ensurepip
v = sys.version_info
if not sysconfig.get_config_var("Py_GIL_DISABLED") and v >= (3, '"$1"'): print(f"{v.minor:02}{v.micro:02}", sys.executable)' 2>/dev/null || true
    done <"$cache/candidates" | sort -r | head -n 1 | cut -d ' ' -f 2
}

find_python() {
    if [ -n "${FREELANE_PYTHON:-}" ]; then
        local path
        path=$(command -v "$FREELANE_PYTHON") || die "FREELANE_PYTHON='$FREELANE_PYTHON' is no command: unset it or name a Python 3.13 or later"
        case $(kind_of "$path") in
        free) ;;
        gil) notice_gil ;;
        *) die "FREELANE_PYTHON='$FREELANE_PYTHON' is not a CPython 3.13 or later with ssl, ctypes, sqlite3, venv and ensurepip: unset it or name one that is" ;;
        esac
        python=$path
        return
    fi
    local name
    for name in python3.15t python3.14t python3.13t; do try "$name" && return; done
    from_cache && return
    say "no free-threaded Python here yet"
    from_uv && return
    say "uv could not get one"
    from_source && return
    python=$(gil_python 13)
    [ -n "$python" ] || die "no Python 3.13 or later: install one, free-threaded if you can, and name it in FREELANE_PYTHON"
    notice_gil
}

notice_gil() {
    say "NOTICE: this Python has the GIL. freelane works, but \`def\` endpoints take turns instead of"
    say "NOTICE: running in parallel, and --workers are processes. Name a free-threaded one in FREELANE_PYTHON."
}

base_of() {
    # The interpreter behind $1, which a virtual environment shares with the one it was made with.
    "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null
}

needs_of() {
    # What the environment was made of: interpreter, dependencies, what is built and how.
    { base_of "$1"; pwd; cat "$root/bootstrap.sh"; "$1" - "$root/pyproject.toml" <<'PY'
import sys, tomllib
config = tomllib.load(open(sys.argv[1], "rb"))
print(config["build-system"], config["project"], config["tool"]["setuptools"], config["tool"].get("distutils"))
PY
    } | sha256sum
}

source_of() {
    # What was compiled.
    (cd "$root" && find fastcore adapters -name "*.p[yx][xd]" | sort | tee /dev/stderr | xargs cat) 2>&1 | sha256sum
}

requirements() {
    "$1" - "$root/pyproject.toml" "$2" <<'PY'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))
lists = {
    "build": project["build-system"]["requires"],
    "run": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["test"],
}
print("\n".join(lists[sys.argv[2]]))
PY
}

pip_install() {
    # On free-threaded 3.13 the newest releases have no wheels: take the newest that have.
    local target=$1 list=$2
    "$target/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: -r "$list" \
        >"$cache/pip.log" 2>&1 || { cat "$cache/pip.log" >&2; die "pip could not install what freelane needs (above)"; }
}

fill_venv() {
    # Makes $1 with the interpreter $2: dependencies, and freelane compiled with the flags $3 and editable.
    local venv=$1 python=$2
    local needs cython
    # Nobody debugs the C of either; to write that down takes a third of the time.
    export CFLAGS="-g0 ${3:-} ${CFLAGS:-}"
    if [ ! -x "$venv/bin/python" ] || [ "$(base_of "$venv/bin/python")" != "$(base_of "$python")" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
    needs=$(needs_of "$venv/bin/python")
    if [ "$needs" != "$(cat "$venv/freelane-needs" 2>/dev/null)" ]; then
        say "using $("$python" -c 'import sys; print(sys.version.split(" (")[0], "at", sys.executable)')"
        rm -f "$venv/freelane-needs"
        say "installing the dependencies"
        requirements "$venv/bin/python" build >"$venv/requirements.txt"
        requirements "$venv/bin/python" run >>"$venv/requirements.txt"
        pip_install "$venv" "$venv/requirements.txt"
        say "compiling fastcore"
        # Another Cython may write other C, which it does not tell by itself.
        cython=$("$venv/bin/python" -c 'import Cython; print(Cython.__version__)')
        { find "$root/fastcore" "$root/adapters" -name "*.c" -print0 |
            xargs -0 -r grep -LF "/* Generated by Cython $cython */" | xargs -r -d '\n' rm; } || true
        # pip passes no -j on; setuptools reads this file as it reads setup.cfg.
        printf '[build_ext]\nparallel = %s\n' "$(nproc)" >"$cache/build.cfg"
        DIST_EXTRA_CONFIG=$cache/build.cfg \
            "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e "$root" \
            >"$cache/pip.log" 2>&1 || { tail -n 60 "$cache/pip.log" >&2; die "fastcore did not compile (above)"; }
        printf '%s\n' "$needs" >"$venv/freelane-needs"
    else
        say "compiling what changed"
        (cd "$root" && "$venv/bin/python" -c 'from setuptools import setup; setup()' -q build_ext --inplace -j "$(nproc)") \
            >"$cache/pip.log" 2>&1 || { tail -n 60 "$cache/pip.log" >&2; die "fastcore did not compile (above)"; }
    fi
    source_of >"$venv/freelane-source"
}

is_current() {
    [ -x "$1/bin/python" ] && [ "$(needs_of "$1/bin/python")" = "$(cat "$1/freelane-needs" 2>/dev/null)" ] &&
        [ "$(source_of)" = "$(cat "$1/freelane-source" 2>/dev/null)" ]
}

is_asked_for() {
    # Whether $1 was made with the interpreter that is asked for, if one is.
    [ -z "${FREELANE_PYTHON:-}" ] || [ "$(base_of "$1/bin/python")" = "$(base_of "$FREELANE_PYTHON")" ]
}

make_venv() {
    # A free-threaded .venv keeps its interpreter until another one is asked for.
    local python=
    if is_asked_for "$venv"; then
        if is_current "$venv"; then return; fi
        try "$venv/bin/python" && python=$("$venv/bin/python" -c 'import sys; print(sys._base_executable)')
    fi
    [ -n "$python" ] || find_python
    fill_venv "$venv" "$python"
    apt_install wrk || say "wrk is not here and cannot be installed: benchmarks use a slower load generator"
    say "ready: $venv/bin/freelane"
}

have_venv() {
    # Tests ask from inside .venv, which is theirs to keep.
    [ -x "$venv/bin/python" ] || make_venv
}

make_gil() {
    local python
    python=$(gil_python 13)
    [ -n "$python" ] || return 0
    # For tests only: most of the time of a higher level goes by before the first of them.
    is_current "$venv-gil" || fill_venv "$venv-gil" "$python" -O1
    printf '%s\n' "$venv-gil/bin/python"
}

make_peers() {
    # uvicorn as people run it today: with the GIL where the machine has such a Python.
    # The frameworks have .venv's versions: only the server may differ.
    local peers python pins
    pins=$("$venv/bin/python" -c 'import importlib.metadata as m
print(*(f"{name}=={m.version(name)}" for name in ("starlette", "fastapi", "pydantic")))')
    python=$(gil_python 11)
    [ -n "$python" ] || { python=$venv/bin/python; say "no Python with the GIL here: the peers run on freelane's"; }
    peers=$cache/peers/$("$python" -c 'import platform; print(platform.python_version())')-$(tr -s '= ' '-' <<<"$pins")-numpy
    if [ ! -f "$peers/ready" ]; then
        say "making the environment of the peers (uvicorn, uvloop, httptools)"
        rm -rf "$peers"
        "$python" -m venv "$peers"
        # shellcheck disable=SC2086
        printf '%s\n' uvicorn uvloop httptools websockets python-multipart itsdangerous email-validator numpy $pins >"$peers/requirements.txt"
        pip_install "$peers" "$peers/requirements.txt"
        touch "$peers/ready"
    fi
    printf '%s\n' "$peers/bin/python"
}

make_release() {
    # Pure Python, so that they stand in front of .venv's own.
    local pins=$1 release
    release=$cache/releases/$(tr -s '= ' '-' <<<"$pins")
    if [ ! -f "$release/ready" ]; then
        say "fetching $pins"
        rm -rf "$release"
        # shellcheck disable=SC2086
        "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: --no-deps \
            --target "$release" $pins >"$cache/pip.log" 2>&1 || { cat "$cache/pip.log" >&2; die "pip could not get $pins (above)"; }
        touch "$release/ready"
    fi
    printf '%s\n' "$release"
}

case ${1:-venv} in
venv) make_venv ;;
gil) make_gil ;;
peers) have_venv && make_peers ;;
pinned) have_venv && make_release "${*:2}" ;;
release) have_venv && make_release "fastapi==$2 starlette==$3 ${*:4}" ;;
*) die "unknown argument '$1': ./bootstrap.sh, or with gil, peers, pinned or release" ;;
esac
