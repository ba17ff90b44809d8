from harness.nearest import hint


def test_the_name_that_was_probably_meant_is_told_alone() -> None:
    assert hint("shop.mial", ["shop.mail", "shop.call"]) == "did you mean 'shop.mail'?"


def test_where_none_is_near_all_that_there_are_are_listed() -> None:
    assert hint("zzz", ["mail", "call"]) == "there are: mail, call"
    assert hint("zzz", []) == "there are: none"


def test_a_short_name_may_be_meant_and_is_not_listed() -> None:
    assert hint("chrage", ["shop.billing.charge_invoice"], short=["charge"]) == "did you mean 'charge'?"
    assert hint("zzz", ["shop.mail"], short=["mail"]) == "there are: shop.mail"
