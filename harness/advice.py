"""What to do about a violated guarantee, in a sentence or two."""

from typing import Final

ADVICE: Final[dict[str, str]] = {
    "effects-once": "Give the effect a key that is the work's own and the same in each attempt, and let its receiver "
    "deduplicate on it.",
    "nothing-lost": "Record that the work is done after its effect and not before.",
    "attempts-bounded": "Count deliveries where a crash cannot forget them.",
    "no-orphans": "Let nothing outlive the worker: files without a name, children that die with their parent.",
    "same-outcome": "Let a second attempt find out what the first has done, and finish it instead of starting anew. "
    "Write a file under another name, and rename it to one that is the work's own when it is whole.",
    "dead-letters-exact": "Set a job aside, with its arguments, in the same step that gives it up.",
    "bounded-wait": "Bound what a body waits for: a timeout for each call, a hard limit, retries that add up to less.",
    "workers-listening": "Let a supervisor start workers again that end, and let them connect again by themselves.",
    "alerts-fire": "Count the age of a queue's oldest message from outside of its workers.",
}
