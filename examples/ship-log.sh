#!/bin/sh
# Ships a log file: each line that is added to it becomes a message, through restarts of the server and rotations of the file.
#
#   examples/ship-log.sh <file> [channel]           the server is RIVERCAST_URL, or http://127.0.0.1:3000
#   rivercast tail logs --after -5m                 to look at it, from anywhere
set -eu

file=${1:?"usage: $0 <file> [channel]"}
channel=${2:-logs}

# With -n +1 from its beginning. While the server is away, publish does not read, and tail waits.
tail -n 0 -F "$file" | rivercast publish "$channel" --wait
