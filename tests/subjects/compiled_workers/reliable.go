// reliable QUEUE OWN: keeps the job in a list of its own until it is done, and puts back what it finds there first.
// Redis' protocol over a plain socket, and Go's own HTTP client; whatever goes wrong ends it, for its manager to start
// it again.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
)

type broker struct {
	connection net.Conn
	replies    *bufio.Reader
}

// One command; its reply, empty for nil.
func (b broker) do(words ...string) string {
	command := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		command += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	_, err := io.WriteString(b.connection, command)
	must(err)
	line, err := b.replies.ReadString('\n')
	must(err)
	size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	if line[0] != '$' || size < 0 {
		return ""
	}
	reply := make([]byte, size+2)
	_, err = io.ReadFull(b.replies, reply)
	must(err)
	return string(reply[:size])
}

func post(to string) {
	request, err := http.NewRequest("POST", os.Getenv("LEDGER_URL")+"/v1/emails", strings.NewReader(fmt.Sprintf(`{"to": %q}`, to)))
	must(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "email-"+to)
	answer, err := http.DefaultClient.Do(request)
	must(err)
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		log.Fatal(answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	must(err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	queue, own := os.Args[1], os.Args[2]
	address, err := url.Parse(os.Getenv("BROKER_URL"))
	must(err)
	connection, err := net.Dial("tcp", address.Host)
	must(err)
	b := broker{connection, bufio.NewReader(connection)}
	for b.do("LMOVE", own, queue, "LEFT", "LEFT") != "" {
	}
	for {
		raw := b.do("BLMOVE", queue, own, "RIGHT", "LEFT", "5")
		if raw == "" {
			continue
		}
		var job struct{ Arguments struct{ To string } }
		must(json.Unmarshal([]byte(raw), &job))
		post(job.Arguments.To)
		b.do("LREM", own, "1", raw)
	}
}
