# Sourced by the scripts of the phases: `launch PHASE ...` starts DeepSpeed with the machine's settings.
where=$PWD
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$PWD
cd "$where"  # paths in the arguments are relative to the caller's folder
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
