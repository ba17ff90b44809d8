/* reliable QUEUE OWN: keeps the job in a list of its own until it is done, and puts back what it finds there first.
 * Redis' protocol and HTTP over plain sockets; whatever goes wrong ends it, for its manager to start it again. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES_MAX = 4096 };

static void end(const char *what) {
    perror(what);
    exit(1);
}

/* To "scheme://127.0.0.1:PORT/...": all of them are here. */
static FILE *connected(const char *url) {
    const char *port = url ? strrchr(url, ':') : NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (!port) end("no address");
    address.sin_port = htons((unsigned short)atoi(port + 1));
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address)) end("connect");
    return fdopen(descriptor, "r");
}

static void send_all(FILE *peer, const char *data, size_t size) {
    while (size) {
        ssize_t sent = write(fileno(peer), data, size);
        if (sent <= 0) end("write");
        data += sent;
        size -= (size_t)sent;
    }
}

/* One command of up to six words; its reply is put into `reply`, empty for nil. */
static void redis(FILE *broker, char reply[BYTES_MAX], int count, const char **words) {
    char command[2 * BYTES_MAX], line[BYTES_MAX];
    int size = sprintf(command, "*%d\r\n", count), length;
    for (int word = 0; word < count; word++)
        size += sprintf(command + size, "$%zu\r\n%s\r\n", strlen(words[word]), words[word]);
    send_all(broker, command, (size_t)size);
    reply[0] = '\0';
    if (!fgets(line, sizeof line, broker)) end("the broker is gone");
    if (line[0] == '-') end(line);
    if (line[0] != '$' || (length = atoi(line + 1)) < 0) return;
    if (length + 2 >= BYTES_MAX || fread(reply, 1, (size_t)length + 2, broker) != (size_t)length + 2) end("read");
    reply[length] = '\0';
}

static void post_email(const char *to) {
    char body[BYTES_MAX / 4], request[BYTES_MAX], status[BYTES_MAX];
    FILE *downstream = connected(getenv("LEDGER_URL"));
    int size = snprintf(body, sizeof body, "{\"to\": \"%s\"}", to);
    size = snprintf(request, sizeof request,
                    "POST /v1/emails HTTP/1.1\r\nHost: downstream\r\nConnection: close\r\n"
                    "Content-Type: application/json\r\nContent-Length: %d\r\nIdempotency-Key: email-%s\r\n\r\n%s",
                    size, to, body);
    send_all(downstream, request, (size_t)size);
    if (!fgets(status, sizeof status, downstream) || strncmp(status, "HTTP/1.1 2", 10)) end("it was not done");
    while (fgets(status, sizeof status, downstream)) { /* to the end */ }
    fclose(downstream);
}

int main(int count, char **words) {
    char job[BYTES_MAX], reply[BYTES_MAX], to[64];
    if (count != 3) return 2;
    const char *queue = words[1], *own = words[2];
    FILE *broker = connected(getenv("BROKER_URL"));
    do {
        redis(broker, reply, 5, (const char *[]){"LMOVE", own, queue, "LEFT", "LEFT"});
    } while (*reply);
    while (1) {
        redis(broker, job, 6, (const char *[]){"BLMOVE", queue, own, "RIGHT", "LEFT", "5"});
        const char *found = strstr(job, "\"to\": \"");
        if (!*job) continue;
        if (!found || sscanf(found, "\"to\": \"%63[^\"]", to) != 1) end("no such job");
        post_email(to);
        redis(broker, reply, 4, (const char *[]){"LREM", own, "1", job});
    }
}
