#!/bin/sh
# Before the packages are installed: so that the initramfs is made once, and small.
set -eu
root=$1
mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$root/etc/initramfs-tools/conf.d/tabane"
cat >"$root/usr/share/initramfs-tools/modules.d/tabane" <<'EOF'
virtio_pci
virtio_mmio
virtio_blk
virtio_scsi
sd_mod
ext4
EOF
