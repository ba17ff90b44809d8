#!/usr/bin/env bash
# naive.bash QUEUE: takes a job out of the broker for good, and then does it. Whatever ends it in between ends the job.
source "$(dirname "$0")/speaking.bash"

while true; do
    until connect_broker; do sleep 0.1; done
    while redis BRPOP "$1" 5; do
        [[ -n $reply ]] || continue
        to=$(field to "$reply")
        post_email "{\"to\": \"$to\"}" ""
    done
done
