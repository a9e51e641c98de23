#!/usr/bin/env bash
# Installs the servers that the benchmarks compare with, by apt and without leaving a service running:
# nats-server, and nginx with the Nchan module. They are not needed: without them those rows are left out.
set -euo pipefail

fail() {
  echo "make bench-peers: $1" >&2
  echo "The benchmarks run without them; Debian, Ubuntu: apt-get install nats-server nginx libnginx-mod-nchan" >&2
  exit 1
}

missing=()
command -v nats-server >/dev/null || missing+=(nats-server)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx)
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
if [ ${#missing[@]} -eq 0 ]; then
  echo "All there: $(nats-server --version), Nchan"
  exit 0
fi

command -v apt-get >/dev/null || fail "there is no apt-get"
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "there is neither root nor sudo"
  root=(sudo)
  [ -t 0 ] || root=(sudo -n)
fi

# The packages would start services on ports 80 and 4222; a policy of 101 forbids that while they are installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null || fail "sudo refused"
  "${root[@]}" chmod 755 "$policy"
  # shellcheck disable=SC2064 # what to undo is known now
  trap "${root[*]} rm -f $policy" EXIT
fi
quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
"${root[@]}" "${quiet[@]}" update || echo "apt-get update failed; trying with the lists that are there" >&2
"${root[@]}" "${quiet[@]}" install -y --no-install-recommends "${missing[@]}" >&2 || fail "apt-get could not install ${missing[*]}"
# Nor are they to start with the machine.
if [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    case $package in nginx | nats-server) "${root[@]}" systemctl disable "$package" >/dev/null 2>&1 || true ;; esac
  done
fi
echo "Installed ${missing[*]}"
