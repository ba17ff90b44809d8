"""What can be said of all that was not tried, from what was drawn and did not fail. Pure.

With no failure among n independent draws, fewer than 3/n of all draws fail, at 95 % confidence: the rule of three
(Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983). It is no more than that:
of what nobody draws it says nothing, and of what was enumerated nothing is left to be said.
"""

from msgspec import Struct

# Below this the rule is a bad approximation, and what it gives (10 % and more) is no ground to stand on.
DRAWS_MIN = 30


class Sample(Struct, frozen=True, kw_only=True):
    """Draws that were tried.

    * `what`: what was drawn, in words, in the plural
    * `draws`: how many of them were put to the test; `failed`: how many of these did not hold
    * `bound`: the upper 95 % bound of the share that fails; None: there is none
    * `told`: all this in a sentence, with what the bound is about
    """

    what: str
    draws: int
    failed: int
    bound: float | None
    told: str


def sample(what: str, *, draws: int, failed: int, of: str) -> Sample:
    """`of`: the draws that the bound would be about, as in "of the inputs that its strategy draws"."""
    bound = upper_bound(draws, failed)
    if bound is not None:
        told = f"none of {draws} {what} failed: with 95 % confidence fewer than {100 * bound:.2g} % {of} do (3/{draws})"
    elif failed:
        told = f"{failed} of {draws} {what} did not hold, so there is no bound"
    else:
        told = f"none of {draws} {what} failed, which are too few for a bound {of}: it takes {DRAWS_MIN}"
    return Sample(what=what, draws=draws, failed=failed, bound=bound, told=told)


def upper_bound(draws: int, failed: int) -> float | None:
    """None where one has failed, or there were too few to say anything."""
    return 3 / draws if draws >= DRAWS_MIN and not failed else None
