from concurrent.futures import ThreadPoolExecutor

from reference_worker import claims
from reference_worker.database import Database


def test_a_claim_that_another_message_holds_is_busy(database: Database) -> None:
    assert claims.take(database, "export:1", holder="a", seconds=60) is not None
    assert claims.take(database, "export:1", holder="b", seconds=60) is None


def test_the_same_message_takes_its_claim_over_with_a_higher_token(database: Database) -> None:
    first = claims.take(database, "export:1", holder="a", seconds=60)
    second = claims.take(database, "export:1", holder="a", seconds=60)
    assert first is not None
    assert second is not None
    assert second.token > first.token


def test_an_expired_claim_is_taken_over(database: Database) -> None:
    first = claims.take(database, "export:1", holder="a", seconds=-1)
    second = claims.take(database, "export:1", holder="b", seconds=60)
    assert first is not None
    assert second is not None
    with database.writing() as connection:
        assert not claims.is_held(connection, first)
        assert claims.is_held(connection, second)


def test_a_released_claim_is_free_and_its_token_is_never_given_again(database: Database) -> None:
    first = claims.take(database, "export:1", holder="a", seconds=60)
    assert first is not None
    claims.release(database, first)
    second = claims.take(database, "export:1", holder="b", seconds=60)
    assert second is not None
    assert second.token > first.token


def test_who_has_lost_the_claim_cannot_release_it(database: Database) -> None:
    old = claims.take(database, "export:1", holder="a", seconds=60)
    new = claims.take(database, "export:1", holder="a", seconds=60)
    assert old is not None
    claims.release(database, old)
    assert claims.take(database, "export:1", holder="b", seconds=60) is None
    assert new is not None


def test_of_many_at_the_same_time_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(lambda number: claims.take(database, "export:1", holder=f"m{number}", seconds=60), range(24))
        )
    assert len([claim for claim in taken if claim is not None]) == 1


def test_of_many_copies_of_one_message_each_has_a_token_of_its_own(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: claims.take(database, "export:1", holder="m", seconds=60), range(24)))
    assert sorted(claim.token for claim in taken if claim is not None) == list(range(1, 25))
