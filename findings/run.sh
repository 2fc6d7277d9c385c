#!/usr/bin/env bash
# Runs every finding; says at the end which packages do something else now.
set -uo pipefail
cd "$(dirname "$0")"
changed=()
for script in *_*.sh; do
    echo "== $script"
    bash "$script" || changed+=("$script")
done
echo "${#changed[@]} changed: ${changed[*]:-none}"
((${#changed[@]} == 0))
