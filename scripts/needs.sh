# shellcheck shell=bash
# What must be on the machine before anything is built. Sourced by quickstart and test.

# What could not be found and is not ours to install, one line each.
missing=()
# Debian packages that are missing.
packages=()

# need_command COMMAND PACKAGE: asks Debian for PACKAGE when COMMAND is not on PATH. A COMMAND with a slash is a
# pattern of paths, for programs that Debian keeps off PATH.
need_command() {
  case $1 in
    */*) compgen -G "$1" >/dev/null || packages+=("$2") ;;
    *) command -v "$1" >/dev/null || packages+=("$2") ;;
  esac
}

# need_toolchain: Rust and npm are the user's own choice of installation.
need_toolchain() {
  need_command cc build-essential
  need_command strip binutils
  command -v npm >/dev/null || missing+=("npm (Debian: apt-get install npm)")
  local release
  if ! release=$(cargo --version 2>/dev/null | sed -E 's/^cargo 1\.([0-9]+).*/\1/') || [ -z "$release" ]; then
    missing+=("cargo 1.85 or later (https://rustup.rs)")
  elif [ "$release" -lt 85 ]; then
    missing+=("cargo 1.85 or later, where 1.$release is installed (https://rustup.rs)")
  fi
}

# install_packages: without starting the services that come with them. Debian asks this file whether it may start one
# (invoke-rc.d(8)); it is ours for the time of the installation, unless the machine has one of its own.
install_packages() (
  policy=/usr/sbin/policy-rc.d
  echo "Installing ${packages[*]}"
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
)

# install_needs: installs what Debian has when root, else names exactly what is missing and ends.
install_needs() {
  if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      install_packages
    else
      missing+=("${packages[*]} (as root: apt-get install ${packages[*]})")
    fi
  fi
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "error[host_lacks]: Could not set up this machine" >&2
    printf '  cause: missing %s\n' "${missing[@]}" >&2
    exit 12
  fi
}

# timed WHAT COMMAND...: runs a step of the set-up and says how long it took.
timed() {
  local what=$1 start=$SECONDS
  shift
  "$@"
  echo "set-up: $what, $((SECONDS - start)) s"
}
