# From here on the script is the same for every job.
SHARED=${SHARED:-$SLURM_SUBMIT_DIR}
[ -z "$ACTIVATE" ] || . "$ACTIVATE"
private=$(mktemp -d "$SHARED/mue-$SLURM_JOB_ID-XXXXXX")
steps=()
trap 'kill "${steps[@]}" 2> /dev/null || true; rm -rf "$private"' EXIT
printf '%s' "$JOB_YAML" > "$private/job.yaml"

# The token lies in a file that only this user can read, and never on a command line.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$private/token"
python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$RAY_AUTH_TOKEN_PATH"

# Two jobs may share a node: ports and folders follow from the job's number. Four ports a job, below those that a kernel
# gives out, which workers get.
port=$((20000 + SLURM_JOB_ID % 3000 * 4))
temp="$WORK/mue-$SLURM_JOB_ID"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# Ray looks names up in DNS alone, and not all sites have their nodes there; a node's own name may mean its loopback.
head_ip=$(python - "$head" << 'END'
import socket, sys
try:
    known = [entry[4][0] for entry in socket.getaddrinfo(sys.argv[1], None, socket.AF_INET)]
except OSError:
    known = []
found = [address for address in known if not address.startswith("127.")]
if not found:  # this script runs on the head's node
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        found = [probe.getsockname()[0]]
print(found[0])
END
)
address="$head_ip:$port"
# Their programs lie on a shared file system, which may be slow.
export RAY_raylet_start_wait_time_s=300
resources=(--num-cpus="$CPUS" --num-gpus="$GPUS" --object-store-memory="$STORE_BYTES" --temp-dir="$temp"
  --dashboard-agent-listen-port=$((port + 2)) --min-worker-port=0 --max-worker-port=0 --disable-usage-stats)
# Said for each step: since Slurm 22.05 srun does not take --cpus-per-task from the job, and Ray would have one CPU. It
# is all that the job has of a node, and no other step wants a part of it: --exact or --overlap would change nothing.
step=(--nodes=1 --ntasks=1 --cpus-per-task="$CPUS")
[ "$GPUS" -eq 0 ] || step+=(--gpus-per-node="$GPUS")

nodes_there() {  # waits up to $2 s for $1 nodes, while the head is there
  local until=$((SECONDS + $2))
  while [ "$SECONDS" -lt "$until" ] && kill -0 "${steps[0]}" 2> /dev/null; do
    [ "$(timeout 60 ray status --address="$address" 2> /dev/null | grep -cE '^ *[0-9]+ node_')" -lt "$1" ] || return 0
    sleep 2
  done
  echo "not all of the first $1 of ${#nodes[@]} nodes are there" >&2
  return 1
}
# What the head starts gives up on a node that is slow to come, and the head with it.
for _ in 1 2 3; do
  srun "${step[@]}" -w "$head" ray start --head --block --node-ip-address="$head_ip" --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port=$((port + 1)) --ray-client-server-port=$((port + 3)) "${resources[@]}" &
  steps=($!)
  nodes_there 1 300 && break
  kill "${steps[0]}" 2> /dev/null || true
  wait "${steps[0]}" || true
done
# Now, not before: a worker that meets the head's server while the head itself is no node yet gives up after 10 s.
for node in "${nodes[@]:1}"; do
  srun "${step[@]}" -w "$node" ray start --block --address="$address" "${resources[@]}" &
  steps+=($!)
done
nodes_there "${#nodes[@]}" 120 || true  # those that come later are used too
export RAY_ADDRESS="$address"

mue --log-format json run -c "$private/job.yaml" &
driver=$!
# USR1 is Slurm's word that the time limit is near: the rows in hand finish and are committed, and the job comes again.
# TERM goes to every process of a job that somebody cancels: it is not to come again, and Slurm would let it. The time
# limit itself sends TERM, too, to those that were told and needed longer.
told=0 limit_at= cancelled=0
to_end() { told=1; kill -TERM "$driver" 2> /dev/null || true; }
trap 'limit_at=$SECONDS; to_end' USR1
trap '[ -n "$limit_at" ] && [ $((SECONDS - limit_at)) -ge "$GRACE_S" ] || cancelled=1; to_end' TERM
while :; do
  code=0
  wait "$driver" || code=$?
  [ "$told" -eq 1 ] || break  # a signal ends `wait`, not the driver
  told=0
done
# Who was interrupted by `mue cancel` is to stay so.
if [ -n "$limit_at" ] && [ "$cancelled" -eq 0 ] && [ "$code" -eq "$INTERRUPTED" ]; then
  if [ "${SLURM_RESTART_COUNT:-0}" -lt "$REQUEUES" ]; then
    scontrol requeue "$SLURM_JOB_ID" || echo "not requeued; sbatch resumes the job" >&2
  else
    echo "not requeued: that was done $REQUEUES times (slurm.requeues); sbatch resumes the job, and counts anew" >&2
  fi
fi
exit "$code"
