# Sourced by align.sh, sft.sh and grpo.sh: `launch PHASE ...` states the machine, nothing else.
where=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$PWD
cd "$where"  # paths in the arguments are the caller's
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
launch() {
    local phase=$1 facts=(--no_local_rank)
    shift
    [ -n "${HOSTFILE:-}" ] && facts+=(--hostfile "$HOSTFILE")
    [ -n "${INCLUDE:-}" ] && facts+=(--include "$INCLUDE")
    [ -n "${ACCELERATORS:-}" ] && facts+=(--num_accelerators "$ACCELERATORS")
    [ -n "${MASTER_PORT:-}" ] && facts+=(--master_port "$MASTER_PORT")
    exec deepspeed "${facts[@]}" --module "phases.$phase" "$@"
}
