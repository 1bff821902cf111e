# shellcheck shell=bash
# Two hosts on this machine: two network namespaces and a bridge. The bridge's own address carries
# the services, so that this machine and both hosts reach them, and nobody else.

HOSTS=(a b)

network_up() {
  local suffix net i=0 host
  suffix=$(state get network)
  [[ -n $suffix && -e /sys/class/net/mb$suffix ]] && return
  exec 8>/run/lock/mila-network # others choose a net now as well
  flock -w 60 8 || die "another services.sh makes its network"
  if [[ -z $suffix ]]; then
    suffix=$(openssl rand -hex 3)
    for net in $(shuf -i 1-250); do
      ip -4 addr show | grep -q "inet 10\.77\.$net\." || break
    done
    state set network "$suffix"
    state set subnet "10.77.$net"
  fi
  net=$(state get subnet)
  ip link add "mb$suffix" type bridge
  ip addr add "$net.254/24" dev "mb$suffix"
  ip link set "mb$suffix" up
  exec 8>&-
  for host in "${HOSTS[@]}"; do
    i=$((i + 1))
    ip netns add "mila-$suffix-$host"
    ip link add "mv$suffix$host" type veth peer name eth0 netns "mila-$suffix-$host"
    ip link set "mv$suffix$host" master "mb$suffix" up
    ip -n "mila-$suffix-$host" addr add "$net.$i/24" dev eth0
    ip -n "mila-$suffix-$host" link set eth0 up
    ip -n "mila-$suffix-$host" link set lo up
    state set "namespace.$host" "mila-$suffix-$host"
    state set "link.$host" "mv$suffix$host"
    state set "address.$host" "$net.$i"
  done
  state set address "$net.254"
}

network_down() {
  local suffix host
  suffix=$(state get network)
  [[ -n $suffix ]] || return 0
  for host in "${HOSTS[@]}"; do
    [[ -e /run/netns/mila-$suffix-$host ]] || continue
    end_all ip netns pids "mila-$suffix-$host"
    ip netns del "mila-$suffix-$host"
  done
  [[ -e /sys/class/net/mb$suffix ]] && ip link del "mb$suffix"
  return 0
}
