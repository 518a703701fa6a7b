# Makes a file system of a tar archive: from standard input, to standard output. As root, or as root of a user namespace.
set -eu
top=$(mktemp -d "${TMPDIR:-/var/tmp}/tabane-image.XXXXXX")
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM HUP
mkdir "$top/root"
tar -x -p --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/?*' -C "$top/root"
truncate -s "$SIZE_BYTES" "$top/image"
# GRUB 2.06 reads no file system with metadata_csum_seed; orphan_file is younger than Debian 12's tools.
mkfs.ext4 -q -F -b 4096 -L root -U "$ROOT_UUID" -m 1 -O '^metadata_csum_seed,^orphan_file' \
	-E lazy_itable_init=0,lazy_journal_init=0 -d "$top/root" "$top/image" >&2
dd if="$top/image" bs=1M conv=sparse status=none
