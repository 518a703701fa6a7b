#!/bin/sh
# After the packages are installed. ROOT_UUID is the UUID that the root file system will have.
set -eu
root=$1

put() {
	mkdir -p "$root${1%/*}"
	cat >"$root$1"
	chmod "${2:-644}" "$root$1"
}

put /etc/fstab <<EOF
UUID=$ROOT_UUID / ext4 rw,noatime,errors=remount-ro 0 1
EOF

# A menu that is shown and does not wait: whoever presses a key in time can choose.
put /boot/grub/grub.cfg <<EOF
set timeout=0
# The signed GRUB of UEFI has no serial terminal; the firmware writes to the serial port itself.
if [ "\$grub_platform" = pc ]; then
	serial --unit=0 --speed=115200
	terminal_input console serial
	terminal_output console serial
fi
menuentry "Debian GNU/Linux" {
	search --no-floppy --fs-uuid --set=root $ROOT_UUID
	linux /vmlinuz root=UUID=$ROOT_UUID ro console=tty0 console=ttyS0,115200 quiet no_timer_check
	initrd /initrd.img
}
menuentry "Debian GNU/Linux, the kernel before" {
	search --no-floppy --fs-uuid --set=root $ROOT_UUID
	linux /vmlinuz.old root=UUID=$ROOT_UUID ro console=tty0 console=ttyS0,115200 no_timer_check
	initrd /initrd.img.old
}
menuentry "Debian GNU/Linux, recovery" {
	search --no-floppy --fs-uuid --set=root $ROOT_UUID
	linux /vmlinuz root=UUID=$ROOT_UUID ro single console=tty0 console=ttyS0,115200 no_timer_check
	initrd /initrd.img
}
EOF

# cloud-init: from a seed disk (NoCloud), or with its defaults where there is none; the network by systemd-networkd.
put /etc/cloud/cloud.cfg.d/90_tabane.cfg <<'EOF'
datasource_list: [ NoCloud, None ]
system_info:
  network:
    renderers: [ networkd ]
growpart:
  mode: auto
  devices: [ "/" ]
ssh_genkeytypes: [ ed25519, ecdsa ]
# What a server needs; each module that is not run starts a server sooner.
cloud_init_modules: [ seed_random, bootcmd, write_files, growpart, resizefs, disk_setup, mounts, set_hostname,
  update_hostname, update_etc_hosts, ca_certs, users_groups, ssh ]
cloud_config_modules: [ ssh_import_id, locale, set_passwords, apt_configure, ntp, timezone, runcmd ]
cloud_final_modules: [ package_update_upgrade_install, write_files_deferred, scripts_vendor, scripts_per_once,
  scripts_per_boot, scripts_per_instance, scripts_user, phone_home, final_message, power_state_change ]
EOF

# Nics that cloud-init was told nothing of.
put /etc/systemd/network/90-dhcp.network <<'EOF'
[Match]
Type=ether
Name=en* eth*

[Network]
DHCP=yes

[Link]
RequiredForOnline=no
EOF
put /etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf <<'EOF'
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30
EOF
# Keys are made at the first boot, also when cloud-init does not. RSA is left out: no client of today needs it, and an
# emulated processor takes long for it.
put /etc/systemd/system/ssh.service.d/keys.conf <<'EOF'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || exec ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
ExecStartPre=/usr/sbin/sshd -t
EOF
put /etc/default/locale <<'EOF'
LANG=C.UTF-8
EOF
put /etc/hostname <<'EOF'
debian
EOF
put /etc/hosts <<'EOF'
127.0.0.1 localhost
127.0.1.1 debian
::1 localhost ip6-localhost ip6-loopback
EOF

for unit in systemd-networkd systemd-resolved systemd-timesyncd ssh; do
	chroot "$root" systemctl enable "$unit" >/dev/null 2>&1
done
# For LVM, which is not here, and slow.
chroot "$root" systemctl disable e2scrub_reap.service e2scrub_all.timer >/dev/null 2>&1
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# What must differ between machines.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/systemd/random-seed" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old

# What systemd would make again at the first boot, because it finds /usr newer, was made just now by the packages.
touch "$root/etc/.updated" "$root/var/.updated"

test -e "$root/vmlinuz" && test -e "$root/initrd.img"
