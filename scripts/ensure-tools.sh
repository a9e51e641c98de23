#!/usr/bin/env bash
# Makes sure that what the tests start is on PATH: redis-server (the tests of the Redis log run against real
# ones, each on a port of its own), nginx and haproxy (the proxies of deploy/ are tried), chromium (a page is tried in
# a real browser), promtool (it checks metrics and alerts) and, on Linux, strace (it shows that an acknowledgement waits
# for the flush, and makes a flush fail). Installs them by apt where possible, without leaving a service running.
set -euo pipefail

# Where Debian has nginx and haproxy; not on everybody's PATH.
PATH="$PATH:/usr/sbin"

OLDEST=7

fail() {
  echo "make test needs ${missing[*]:-redis-server $OLDEST or newer} on PATH: $1" >&2
  echo "Install it (Debian, Ubuntu: apt-get install redis-server nginx haproxy strace chromium prometheus; macOS: brew install redis nginx haproxy chromium prometheus) and try again." >&2
  exit 1
}

find_missing() {
  hash -r
  missing=()
  for tool in redis-server nginx haproxy; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  command -v chromium-headless-shell chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
  command -v promtool >/dev/null || missing+=(prometheus)
  if [ "$(uname)" = Linux ]; then command -v strace >/dev/null || missing+=(strace); fi
}

install_by_apt() {
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "there is neither root nor sudo to install it"
    root=(sudo)
    [ -t 0 ] || root=(sudo -n)
  fi
  # The packages would start services; a policy of 101 forbids that while they are installed.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null || fail "sudo refused"
    "${root[@]}" chmod 755 "$policy"
    # shellcheck disable=SC2064 # what to undo is known now
    trap "${root[*]} rm -f $policy" EXIT
  fi
  local quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  "${root[@]}" "${quiet[@]}" update || echo "apt-get update failed; trying with the lists that are there" >&2
  # Where there is one, the Chromium that shows no window: a page takes half of the time.
  if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
    missing=("${missing[@]/%chromium/chromium-headless-shell}")
  fi
  "${root[@]}" "${quiet[@]}" install -y --no-install-recommends "${missing[@]}" >&2 || fail "apt-get could not install it"
  # Nor are they to start with the machine.
  if [ -d /run/systemd/system ]; then
    for tool in "${missing[@]}"; do
      case $tool in redis-server | nginx | haproxy | prometheus) "${root[@]}" systemctl disable "$tool" >/dev/null 2>&1 || true ;; esac
    done
  fi
}

find_missing
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "there is no apt-get to install it"
  echo "Installing ${missing[*]} for the tests ..." >&2
  install_by_apt
  find_missing
  [ ${#missing[@]} -eq 0 ] || fail "it is missing even after its installation"
fi

version=$(redis-server --version | sed -nE 's/.*v=([0-9]+)\..*/\1/p')
[ "${version:-0}" -ge "$OLDEST" ] || fail "found $(redis-server --version)"
