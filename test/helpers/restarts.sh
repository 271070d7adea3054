# A small service manager: holds the sockets that it got (descriptors from 3), and starts the
# program in its arguments again and again with them, as systemd does. Ends with it on SIGTERM.
trap 'kill "$child"; wait "$child"; exit 0' TERM
while :; do
  sh -c 'LISTEN_PID=$$ exec "$@"' - "$@" &
  child=$!
  wait "$child"
  echo "restarted after $?"
done
