# shellcheck shell=bash
# A Ray cluster of two hosts with one CPU each; every call needs the token.
# Within the namespaces all ports are free: they are Ray's own.

RAY_OBJECT_STORE=200000000

ray_up() {
  local token=$FOLDER/secrets/ray_token
  [[ -e $token ]] || (umask 077 && openssl rand -hex 32 >"$token")
  if ! pid_of ray-a >/dev/null; then
    ray_host_down a
    ray_start a --head --port 6379 --dashboard-host "$(state get address.a)" --dashboard-port 8265
    wait_for ray-a 120 ray_api api/version
  fi
  if ! pid_of ray-b >/dev/null; then
    ray_host_down b
    ray_start b --address "$(state get address.a):6379"
  fi
  wait_for ray-b 120 ray_has_nodes 2
}

ray_down() {
  ray_host_down b
  ray_host_down a
}

ray_start() { # HOST WORDS...
  local host=$1 name=ray-$1
  shift
  mkdir -p "$FOLDER/r$host/scratch"
  start "$name" ip netns exec "$(state get "namespace.$host")" \
    env --chdir="$FOLDER/r$host" GLOO_SOCKET_IFNAME=eth0 TMPDIR="$FOLDER/r$host/scratch" \
    bash -c 'set -a; . ../environment; exec "$@"' - \
    ray start --block --disable-usage-stats --node-ip-address "$(state get "address.$host")" \
    --num-cpus 1 --object-store-memory "$RAY_OBJECT_STORE" --temp-dir "$FOLDER/r$host" "$@"
}

# Never `ray stop`: it ends every Ray process of the machine. All that lives in the host's namespace
# belongs to it, drivers and workers included.
ray_host_down() {
  local namespace
  namespace=$(state get "namespace.$1")
  stop "ray-$1"
  end_all ip netns pids "$namespace"
}

ray_api() { # PATH
  curl -sf -m 5 --config <(printf 'header = "Authorization: Bearer %s"' "$(<"$FOLDER/secrets/ray_token")") \
    "http://$(state get address.a):8265/$1"
}

ray_has_nodes() {
  [[ $(ray_api 'nodes?view=summary' | grep -o '"state": *"ALIVE"' | wc -l) -ge $1 ]]
}
