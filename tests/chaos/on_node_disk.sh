#!/bin/sh
# Runs on a broker: STEP UNIT TOPIC. Moves the smallest of the topic's partitions here onto a tmpfs that has little
# more room than it needs (prepare), fills that (fill), gives the room back (free), moves the partition back (clear).
# Each step may be repeated. Real quotas need a file system with them below the node, which the lab's pool has not.
set -eu
step=$1 unit=$2 topic=$3
disk=/run/millrace-chaos-disk
note=/run/millrace-chaos-disk.directory
spare=24 # MiB
most=256 # MiB: the tmpfs counts as the node's memory

case $step in
  prepare)
    [ ! -e "$note" ] || exit 0
    logs=$(sed -n 's/^log.dirs=//p' /etc/kafka/server.properties)
    smallest=$(du -sm "$logs/$topic"-[0-9]* | sort -n | head -n 1)
    size=${smallest%%[!0-9]*} directory=${smallest#*[!0-9]}
    [ "$size" -le "$most" ] || { echo "$directory has $size MiB, more than the $most that this may take" >&2; exit 1; }
    systemctl stop "$unit"
    mkdir -p "$disk"
    mount -t tmpfs -o "size=$((size + spare))m,mode=0755" millrace-chaos "$disk"
    cp -a --sparse=always "$directory/." "$disk/"
    echo "$directory" >"$note"
    mount --bind "$disk" "$directory"
    systemctl start "$unit"
    ;;
  fill)
    # dd ends with an error when no byte is left, which is what it is for.
    dd if=/dev/zero of="$disk/filler" bs=64k 2>/dev/null || true
    [ "$(df -k --output=avail "$disk" | tail -n 1)" -lt 64 ]
    ;;
  free)
    rm -f "$disk/filler"
    ;;
  clear)
    [ -e "$note" ] || exit 0
    directory=$(cat "$note")
    systemctl stop "$unit"
    ! mountpoint -q "$directory" || umount "$directory"
    find "$directory" -mindepth 1 -delete
    cp -a --sparse=always "$disk/." "$directory/"
    umount "$disk" && rmdir "$disk"
    rm -f "$note"
    systemctl start "$unit"
    ;;
esac
