"""`python -m harness.services.proxy JSON`."""

from harness.services.proxy.server import main

main()
