# Writes the counters of this machine every $1 seconds, by what the shell has built in; `sleep` alone is a program.
# It ends when nobody reads any more.
while :; do
    read -r up rest < /proc/uptime || exit 1
    echo "sample $up"
    read -r line < /proc/stat && echo "$line"
    while read -r key value unit; do
        case $key in
            MemTotal: | MemFree: | MemAvailable: | Buffers: | Cached:) echo "mem $key $value" ;;
        esac
    done < /proc/meminfo
    for disk in /sys/block/*; do
        case ${disk##*/} in
            loop* | ram* | zram* | dm-* | md* | sr* | fd*) continue ;;
        esac
        read -r line < "$disk/stat" && echo "disk ${disk##*/} $line"
    done
    for nic in /sys/class/net/*; do
        [ -e "$nic/device" ] || continue
        read -r rx < "$nic/statistics/rx_bytes" && read -r tx < "$nic/statistics/tx_bytes" && echo "net ${nic##*/} $rx $tx"
    done
    echo end || exit 0
    sleep "$1" || exit 1
done
