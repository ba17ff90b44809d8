"""The ledger's modules, imported once for a run: `python -m harness.services.warm_ledger`. Its ledgers are forked."""

from harness.forking import hide_link, not_forkable, run_requested, say, serve


def main() -> None:
    hide_link()
    import harness.services.ledger.__main__  # noqa: F401 - what each ledger would import

    say({"refused": not_forkable()})
    serve()
    run_requested()


if __name__ == "__main__":
    main()
