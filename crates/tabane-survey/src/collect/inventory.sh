# Writes what this machine is, each part behind a line `part NAME`. Only reads; what is not there is left out.
part() { echo "part $1"; }
part kernel; uname -srm
part hostname; cat /proc/sys/kernel/hostname
part os; cat /etc/os-release 2> /dev/null
part cpu; cat /proc/cpuinfo
part memory; cat /proc/meminfo
part frequency; cat /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq 2> /dev/null
part firmware; [ -d /sys/firmware/efi ] && echo uefi || echo bios
part vendor; cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name 2> /dev/null
part disks; for disk in /sys/block/*; do echo "${disk##*/} $(cat "$disk/size")"; done
part space; df -kP 2> /dev/null
part nics; for nic in /sys/class/net/*; do [ -e "$nic/device" ] && echo "${nic##*/} $(cat "$nic/address")"; done
part listening; { ss -Htln || netstat -tln; } 2> /dev/null
part connections; { ss -Htn state established || netstat -tn; } 2> /dev/null
part services; systemctl list-units --type=service --state=running --no-legend --plain 2> /dev/null
part packages; { dpkg-query -W -f '${Package} ${Version}\n' || rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n'; } 2> /dev/null
part end
