/* One Redis command, sent with write(2) by a program that knows nothing of Python. Its exit code tells of the reply. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *command = "*3\r\n$3\r\nSET\r\n$4\r\nfrom\r\n$1\r\nc\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    char reply[64];
    int link = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(link, (struct sockaddr *)&address, sizeof address) != 0) return 3;
    if (write(link, command, strlen(command)) < 0) return 2;
    return read(link, reply, sizeof reply) > 0 ? 0 : 1;
}
