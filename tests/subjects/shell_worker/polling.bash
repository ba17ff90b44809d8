#!/usr/bin/env bash
# polling.bash QUEUE OWN: as reliable.bash, but it asks again and again instead of waiting, sleeps in a process of its
# own meanwhile, and has another process of its own send the request.
source "$(dirname "$0")/speaking.bash"

while true; do
    until connect_broker && put_back "$1" "$2"; do sleep 0.1; done
    while redis LMOVE "$1" "$2" RIGHT LEFT; do
        if [[ -z $reply ]]; then
            sleep 0.05
            continue
        fi
        job=$reply
        to=$(field to "$job")
        if (post_email "{\"to\": \"$to\"}" "email-$to"); then
            redis LREM "$2" 1 "$job" || break
        else
            put_back "$1" "$2" || break
        fi
    done
done
