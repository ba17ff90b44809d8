#!/usr/bin/env bash
# reliable.bash QUEUE OWN: keeps the job in a list of its own until it is done, and puts back what it finds there first.
source "$(dirname "$0")/speaking.bash"

while true; do
    until connect_broker && put_back "$1" "$2"; do sleep 0.1; done
    while redis BLMOVE "$1" "$2" RIGHT LEFT 5; do
        [[ -n $reply ]] || continue
        job=$reply
        to=$(field to "$job")
        # The key is the work's, not the message's: whoever asks again asks for the same.
        if post_email "{\"to\": \"$to\"}" "email-$to"; then
            redis LREM "$2" 1 "$job" || break
        else
            put_back "$1" "$2" || break
            sleep 0.1
        fi
    done
done
