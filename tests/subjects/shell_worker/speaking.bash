# What the workers share: Redis' protocol and HTTP over bash's own sockets, with nothing but bash.
# Descriptor 3 is the broker, 4 is the downstream. Lengths are in bytes, so no locale may count characters.
export LC_ALL=C
trap '' PIPE # a peer that is gone is an error of the write, not the end of the shell

host_of() { local address=${1#*://}; address=${address%%/*}; echo "${address%%:*}"; }
port_of() { local address=${1#*://}; address=${address%%/*}; echo "${address##*:}"; }

connect_broker() {
    { exec 3<>"/dev/tcp/$(host_of "$BROKER_URL")/$(port_of "$BROKER_URL")"; } 2>/dev/null
}

# One command, sent in one piece; its reply is in $reply. Fails when the connection is gone.
redis() {
    local word command="*$#"$'\r\n'
    for word in "$@"; do
        command+="\$${#word}"$'\r\n'"$word"$'\r\n'
    done
    printf '%s' "$command" >&3 2>/dev/null || return 1
    read_reply
}

read_reply() {
    local line count index
    reply=
    IFS= read -r -u 3 line || return 1
    line=${line%$'\r'}
    case $line in
        '$-1' | '*-1') ;;
        '$'*)
            IFS= read -r -N "${line#?}" -u 3 reply || return 1
            IFS= read -r -N 2 -u 3 line || return 1
            ;;
        '*'*) # the last element is the one that anybody here asks for
            count=${line#?}
            for ((index = 0; index < count; index++)); do
                read_reply || return 1
            done
            ;;
        '-'*) echo "the broker says: ${line#?}" >&2 ;;
        *) reply=${line#?} ;;
    esac
}

# To the end of the queue, where the others' turn comes before.
put_back() {
    while redis LMOVE "$2" "$1" LEFT LEFT; do
        [[ -n $reply ]] || return 0
    done
    return 1
}

# A string field of a flat JSON object within another, as `json.dumps` writes it.
field() {
    [[ $2 =~ \"$1\":\ \"([^\"]*)\" ]] && echo "${BASH_REMATCH[1]}"
}

# POST /v1/emails with a body and, if it is not empty, a key. Succeeds when the downstream has answered, to the end and
# within two seconds, that it was done: a status line alone is a beginning, not an answer.
post_email() {
    local body=$1 key=$2 request answer length
    { exec 4<>"/dev/tcp/$(host_of "$LEDGER_URL")/$(port_of "$LEDGER_URL")"; } 2>/dev/null || return 1
    request="POST /v1/emails HTTP/1.1"$'\r\n'"Host: downstream"$'\r\n'"Connection: close"$'\r\n'
    request+="Content-Type: application/json"$'\r\n'"Content-Length: ${#body}"$'\r\n'
    [[ -n $key ]] && request+="Idempotency-Key: $key"$'\r\n'
    printf '%s\r\n%s' "$request" "$body" >&4 2>/dev/null
    IFS= read -r -d '' -t 2 -u 4 answer
    exec 4>&-
    [[ $answer =~ [Cc]ontent-[Ll]ength:\ ([0-9]+) ]] || return 1
    length=${BASH_REMATCH[1]}
    body=${answer#*$'\r\n\r\n'}
    [[ $answer == "HTTP/1.1 2"*$'\r\n\r\n'* && ${#body} -eq $length ]]
}
