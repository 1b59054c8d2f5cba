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
address="$head:$port"
resources=(--num-cpus="$CPUS" --num-gpus="$GPUS" --object-store-memory="$STORE_BYTES" --temp-dir="$temp"
  --dashboard-agent-listen-port=$((port + 2)) --min-worker-port=0 --max-worker-port=0)

srun --nodes=1 --ntasks=1 -w "$head" ray start --head --block --disable-usage-stats --port="$port" \
  --dashboard-host=127.0.0.1 --dashboard-port=$((port + 1)) --ray-client-server-port=$((port + 3)) "${resources[@]}" &
steps+=($!)
for node in "${nodes[@]:1}"; do
  # They wait for the head by themselves.
  srun --nodes=1 --ntasks=1 -w "$node" ray start --block --disable-usage-stats --address="$address" "${resources[@]}" &
  steps+=($!)
done
export RAY_ADDRESS="$address"
for _ in $(seq 60); do
  ray status > /dev/null 2>&1 && break
  sleep 2
done

mue --log-format json run -c "$private/job.yaml" &
driver=$!
# Slurm tells this shell before it ends the job: the rows in hand finish and are committed.
told=0 ending=0
trap 'told=1 ending=1; kill -TERM "$driver" 2> /dev/null || true' TERM
while :; do
  code=0
  wait "$driver" || code=$?
  [ "$told" -eq 1 ] || break  # a signal ends `wait`, not the driver
  told=0
done
# Who was interrupted by `mue cancel` is to stay so.
if [ "$ending" -eq 1 ] && [ "$code" -eq "$INTERRUPTED" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
