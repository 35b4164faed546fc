"""What an order is refused with."""

from __future__ import annotations

from pipeline.words import Sentence, marked

# What is refused, with the place, or with what is wanted and what there is.
UNCONFIGURED = marked("nothing is configured to grow at {place}: change the configuration, or say --override")
OTHER_PRODUCT = marked(
    "{place} is configured for product {grown}, not for {wanted}: change the configuration, or say --override"
)
OTHER_POT = marked(
    "{place} is configured for pot {grown}, not for {wanted}: change the configuration, or say --override"
)
# By whether the state and the pot were said.
MISSING = {
    (False, False): Sentence("state and the packaging"),
    (False, True): Sentence("state"),
    (True, False): Sentence("packaging"),
}
SIGNED = marked("the quantity must be from −{most:,} to {most:,}, but not 0, not {n:,}")
POSITIVE = marked("the quantity must be from 1 to {most:,}, not {n:,}")
