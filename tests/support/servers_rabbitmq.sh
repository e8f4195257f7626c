# shellcheck shell=bash
# RabbitMQ, alone or in a cluster: a part of servers.sh, which sources it.
# shellcheck disable=SC2154 # server_user

# The scripts in PATH change the user and use the system's node; these do not.
rabbitmq_bin=/usr/lib/rabbitmq/bin

# Settings of the system (rabbitmq-env.conf, conf.d, advanced.config, RABBITMQ_* of the caller) must
# not leak in, hence a clean environment and files of our own.
rabbitmq_env() {
  local home=$1/rabbitmq
  shift
  as_server env -i \
    PATH="$rabbitmq_bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME="$home" LANG=C.UTF-8 OUTBOXD_SCRATCH="${OUTBOXD_SCRATCH:-}" \
    ERL_EPMD_PORT="$(<"$home/epmd.port")" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME="$(<"$home/name")" RABBITMQ_DIST_PORT="$(<"$home/dist.port")" \
    RABBITMQ_CTL_DIST_PORT_MIN=0 RABBITMQ_CTL_DIST_PORT_MAX=0 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} net_ticktime 8' \
    RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
    RABBITMQ_CONFIG_FILES="$home/conf.d" RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" RABBITMQ_MNESIA_BASE="$home/data" \
    RABBITMQ_LOG_BASE="$home" RABBITMQ_PID_FILE="$home/pid" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
    RABBITMQ_FEATURE_FLAGS_FILE="$home/feature_flags" \
    "$@"
}

rabbitmq_create() {
  local home=$1/rabbitmq plugins=
  [[ -x $rabbitmq_bin/rabbitmq-server ]] || die 'RabbitMQ is not installed (try: ./dev deps)'
  make_home "$home"
  as_server mkdir "$home/conf.d"
  if [[ -n ${joining:-} ]]; then
    as_server cp "$joining/password" "$joining/.erlang.cookie" "$home"
    echo "outboxd-${1##*/}@localhost" >"$home/name"
  else
    random_hex | as_server tee "$home/password" >/dev/null
    random_hex | as_server tee "$home/.erlang.cookie" >/dev/null
    as_server chmod 0400 "$home/.erlang.cookie"
    echo outboxd@localhost >"$home/name"
  fi
  : | as_server tee "$home/env.conf" >/dev/null
  echo '[].' | as_server tee "$home/advanced.config" >/dev/null
  if [[ ${2:-} == management ]]; then plugins=rabbitmq_management; fi
  echo "[$plugins]." | as_server tee "$home/enabled_plugins" >/dev/null
}

rabbitmq_choose_ports() {
  local home=$1/rabbitmq
  free_port >"$home/port"
  if [[ -n ${joining:-} ]]; then cp "$joining/epmd.port" "$home"; else free_port >"$home/epmd.port"; fi
  free_port >"$home/dist.port"
  as_server tee "$home/rabbitmq.conf" >/dev/null <<END
listeners.tcp.local = 127.0.0.1:$(<"$home/port")
default_user = outboxd
default_pass = $(<"$home/password")
log.file = rabbitmq.log
log.console = false
disk_free_limit.absolute = 50MB
cluster_partition_handling = pause_minority
END
  if grep -q management "$home/enabled_plugins"; then
    free_port >"$home/management.port"
    printf '%s\n' 'management.tcp.ip = 127.0.0.1' \
      "management.tcp.port = $(<"$home/management.port")" |
      as_server tee -a "$home/rabbitmq.conf" >/dev/null
  fi
}

# Serving means: it answers a protocol header. (The listeners are opened last in the boot.)
rabbitmq_serving() {
  {
    exec 9<>"/dev/tcp/127.0.0.1/$(<"$1/rabbitmq/port")" &&
      printf 'AMQP\x00\x00\x09\x01' >&9 &&
      LC_ALL=C read -r -N 1 -t 2 -u 9 _
  } 2>/dev/null || return 1
  exec 9>&-
}

rabbitmq_boots_or_serves() { rabbitmq_serving "$1" || ! alive "$2"; }

# The broker would start an epmd itself, but one that leaves its environment and so its mark. The
# brokers of a cluster share the first one's, which stays when they end.
rabbitmq_launch() {
  local dir=$1 home=$1/rabbitmq launcher
  rabbitmq_kill "$dir"
  if ! (exec 9<>"/dev/tcp/127.0.0.1/$(<"$home/epmd.port")") 2>/dev/null; then
    rabbitmq_env "$dir" setsid epmd </dev/null >>"$home/epmd.log" 2>&1 &
  fi
  rabbitmq_env "$dir" OUTBOXD_BROKER="$dir" setsid "$rabbitmq_bin/rabbitmq-server" \
    </dev/null >>"$home/start.log" 2>&1 &
  launcher=$!
  wait_until 120 rabbitmq_boots_or_serves "$dir" "$launcher" && rabbitmq_serving "$dir"
}

rabbitmq_start() {
  local dir=$1 home=$1/rabbitmq try
  if [[ ! -f $home/port ]]; then
    rabbitmq_create "$@"
    for try in 1 2 3 4 5; do
      rabbitmq_choose_ports "$dir"
      if rabbitmq_launch "$dir"; then break; fi
      grep -qsE 'eaddrinuse|already in use|already_used' "$home/start.log" "$home/rabbitmq.log" "$home/epmd.log" &&
        ((try < 5)) || explain RabbitMQ "$home/epmd.log" "$home/start.log" "$home/rabbitmq.log"
    done
  elif ! rabbitmq_serving "$dir"; then
    rabbitmq_launch "$dir" || explain RabbitMQ "$home/epmd.log" "$home/start.log" "$home/rabbitmq.log"
  fi
  rabbitmq_url "$dir"
}

rabbitmq_join() {
  local dir=$1 joining=${1%/*}/rabbitmq
  [[ -d $joining ]] || die "no broker in ${1%/*} to join"
  rabbitmq_start "$dir" >/dev/null
  rabbitmq_ctl "$dir" stop_app
  rabbitmq_ctl "$dir" reset
  rabbitmq_ctl "$dir" join_cluster "$(<"$joining/name")"
  rabbitmq_ctl "$dir" start_app
  rabbitmq_url "$dir"
}

rabbitmq_url() {
  echo "amqp://outboxd:$(<"$1/rabbitmq/password")@127.0.0.1:$(<"$1/rabbitmq/port")/%2f"
}

rabbitmq_stop() {
  local pid
  pid=$(cat "$1/rabbitmq/pid" 2>/dev/null) || return 0
  kill -TERM "$pid"
  wait_until 60 dead "$pid" || die "RabbitMQ in $1 does not stop"
  rabbitmq_kill "$1"
}

rabbitmq_gone() { [[ -z $(marked_pids OUTBOXD_BROKER "$1") ]]; }

# With the broker go the helpers of its virtual machine.
rabbitmq_kill() {
  marked_pids OUTBOXD_BROKER "$1" | kill_all
  wait_until 60 rabbitmq_gone "$1" || die "RabbitMQ in $1 survives kill -9"
  rm -f "$1/rabbitmq/pid"
}

rabbitmq_ctl() {
  local dir=$1
  shift
  rabbitmq_env "$dir" "$rabbitmq_bin/rabbitmqctl" --quiet "$@"
}
