"""The embedded fault proxy: TCP with toxics in between, controlled over Toxiproxy's HTTP API."""
