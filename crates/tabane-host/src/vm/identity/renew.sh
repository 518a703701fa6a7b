# Makes the guest a machine of its own, while it is cut off from its networks. Run by the guest agent with sh; what it
# is told comes in the environment, and on its input the program that renews the kernel's random numbers.
# Each step can be done again. What was done is said in lines "step: result".
#
# name      host name             id      machine-id
# instance  of cloud-init: "old new"
# nics      "old-mac,new-mac …"

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022
say() { echo "$1: $2"; }
has() { command -v "$1" >/dev/null 2>&1; }

# Everything that is made below draws on these. Folders may be mounted so that nothing runs from them.
random="cannot be renewed; they may be those of the other machine for a minute"
for folder in /run /dev/shm /tmp /var/tmp /root /; do
	program=$folder/.tabane-reseed.$$
	if [ -z "$seed" ]; then
		(umask 077 && cat >"$program") 2>/dev/null || continue
	else
		cp "$seed" "$program" 2>/dev/null || continue
	fi
	[ -n "$seed" ] && rm -f "$seed"
	seed=$program
	chmod 700 "$program"
	cat "$program" >/dev/urandom
	if "$program" 2>/dev/null; then
		random=renewed
		break
	fi
done
rm -f "$seed"
if [ "$random" != renewed ] && has perl; then
	perl -e 'open(F,"+<","/dev/urandom") && ioctl(F,0x5207,0) or exit 1' 2>/dev/null && random=renewed
fi
say random-numbers "$random"

for file in /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/seedrng/seed.credit; do
	[ -f "$file" ] && dd if=/dev/urandom of="$file" bs=512 count=1 2>/dev/null && say random-seed "$file"
done

for file in /etc/machine-id /var/lib/dbus/machine-id; do
	[ -f "$file" ] && [ ! -L "$file" ] && printf '%s\n' "$id" >"$file" && say machine-id "$file"
done

short=${name%%.*}
old=$(cat /proc/sys/kernel/hostname)
oldshort=${old%%.*}
printf '%s' "$short" >/proc/sys/kernel/hostname && say hostname "$short"
[ -f /etc/hostname ] && printf '%s\n' "$short" >/etc/hostname
if [ -f /etc/hosts ] && [ -n "$oldshort" ] && [ "$oldshort" != localhost ]; then
	# Twice, since neighbours share the space between them.
	change="s/\([[:space:]]\)$oldshort\(\.[^[:space:]]*\)\{0,1\}\([[:space:]]\|\$\)/\1$short\2\3/g"
	sed -e "$change" -e "$change" /etc/hosts >/etc/hosts.tabane && cat /etc/hosts.tabane >/etc/hosts
	rm -f /etc/hosts.tabane
fi

made=
for key in /etc/ssh/ssh_host_*_key; do
	[ -f "$key" ] && has ssh-keygen || continue
	kind=${key##*/ssh_host_}
	kind=${kind%_key}
	rm -f "$key.new" "$key.new.pub"
	ssh-keygen -q -t "$kind" -N '' -C "root@$short" -f "$key.new" </dev/null >/dev/null 2>&1 || continue
	mv -f "$key.new.pub" "$key.pub"
	mv -f "$key.new" "$key"
	made="$made $kind"
done
if [ -n "$made" ]; then
	for pid in /run/sshd.pid /var/run/sshd.pid; do
		[ -s "$pid" ] && kill -HUP "$(cat "$pid")" 2>/dev/null && break
	done
	say ssh-host-keys "$made"
fi

if [ -f /etc/iscsi/initiatorname.iscsi ] && has iscsi-iname; then
	echo "InitiatorName=$(iscsi-iname)" >/etc/iscsi/initiatorname.iscsi && say storage-names iscsi
fi
if [ -f /etc/nvme/hostid ]; then
	uuid=$(cat /proc/sys/kernel/random/uuid)
	echo "$uuid" >/etc/nvme/hostid
	echo "nqn.2014-08.org.nvmexpress:uuid:$uuid" >/etc/nvme/hostnqn
	say storage-names nvme
fi

# What cloud-init has done once for the other machine is done for this one.
cloud=/var/lib/cloud
was=${instance%% *}
is=${instance##* }
if [ -d "$cloud/instances/$was" ] && [ ! -e "$cloud/instances/$is" ]; then
	mv "$cloud/instances/$was" "$cloud/instances/$is"
	rm -f "$cloud/instance"
	ln -s "$cloud/instances/$is" "$cloud/instance"
	for file in "$cloud/data/instance-id" "$cloud/data/previous-instance-id" /run/cloud-init/.instance-id; do
		[ -f "$file" ] && echo "$is" >"$file"
	done
	say cloud-init "$is"
fi

for pair in $nics; do
	was=${pair%,*}
	is=${pair#*,}
	for nic in /sys/class/net/*; do
		[ "$(cat "$nic/address" 2>/dev/null)" = "$was" ] || continue
		device=${nic##*/}
		ip link set dev "$device" address "$is" 2>/dev/null || {
			ip link set dev "$device" down
			ip link set dev "$device" address "$is"
			ip link set dev "$device" up
		}
		say mac "$device $(cat "$nic/address")"
	done
	# What the system knows nics by. What is made at boot may go by the address that the nic was born with, which only
	# the next boot changes.
	for file in /etc/netplan/*.yaml /etc/systemd/network/* /etc/network/interfaces /etc/network/interfaces.d/* \
		/etc/udev/rules.d/* /etc/NetworkManager/system-connections/* /etc/sysconfig/network-scripts/ifcfg-* \
		/run/systemd/network/* /run/NetworkManager/system-connections/* /run/udev/rules.d/*; do
		[ -f "$file" ] && [ ! -L "$file" ] && grep -qi "$was" "$file" || continue
		case $file in
		/run/*) sed -i "s/Permanent\(MACAddress=$was\)/\1/I; s/$was/$is/Ig" "$file" ;;
		*) sed -i "s/$was/$is/Ig" "$file" ;;
		esac
		say network-names "$file"
	done
done

for file in /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/NetworkManager/*.lease /run/systemd/netif/leases/* \
	/var/lib/dhcpcd/*.lease; do
	[ -f "$file" ] && rm -f "$file" && say dhcp-leases "$file"
done

sync
say done yes
