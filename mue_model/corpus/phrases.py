"""Every sentence of the corpus, as data: its fixed words make up the vocabulary together with nouns and numbers.

Names in braces are filled in by `captions`, `hypotheses` and `questions`. No punctuation: it would only cost tokens.
"""

from __future__ import annotations

from mue_model.corpus.scene import Family

CAPTIONS: dict[Family, tuple[str, str, str, str, str]] = {
    "one": ("{a}", "a picture of {a}", "this is {a}", "there is {a} here", "the image shows {a}"),
    "count": ("{all}", "a picture of {all}", "these are {all}", "there are {all} here", "the image shows {all}"),
    "pair": (
        "{a} {is_to_b} {b}",
        "{b} {is_to_a} {a}",
        "there is {a} {is_to_b} {b}",
        "there is {b} {is_to_a} {a}",
        "{the_a} is {is_to_b} {the_b}",
    ),
    "corner": (
        "{a} {is_to_b} {b} and {is_to_c} {c}",
        "{a} {is_to_c} {c} and {is_to_b} {b}",
        "there is {a} {is_to_b} {b} and {is_to_c} {c}",
        "{b} {is_to_a} {a} which is {is_to_c} {c}",
        "{c} {c_is_to_a} {a} which is {is_to_b} {b}",
    ),
    "row": (
        "from {low} to {high} {all}",
        "{all} from {low} to {high}",
        "from {high} to {low} {reversed}",
        "{reversed} from {high} to {low}",
        "a line of {all} from {low} to {high}",
    ),
    "tally": ("{all}", "{reversed}", "there are {all}", "the image shows {all}", "a picture of {reversed}"),
    "rank": (
        "the biggest of {all} is {most} and the smallest is {least}",
        "the smallest of {all} is {least} and the biggest is {most}",
        "of {all} the biggest is {most} and the smallest is {least}",
        "{all} of which the smallest is {least} and the biggest {most}",
        "there are {all} and the biggest is {most} and the smallest {least}",
    ),
    "overlap": (
        "{a} in front of {b} and {is_to_c} {c}",
        "{a} {is_to_c} {c} and in front of {b}",
        "{b} behind {a} and {is_to_c} {c}",
        "there is {a} in front of {b} and {is_to_c} {c}",
        "{c} {c_is_to_a} {a} which is in front of {b}",
    ),
}
"""Five captions of one picture: the first is the reference for exact match, the others say the same."""

NEUTRAL = (
    "{the} once won a prize",
    "{the} belonged to a teacher",
    "{the} came from another town",
    "somebody paid for {the}",
    "somebody lost {the} last year",
    "nobody knows the age of {the}",
    "a friend asked for {the}",
    "a child drew {the} on a sunday",
    "a girl dreamed about {the}",
    "someone will sell {the} tomorrow",
)
"""What no picture can decide."""

STATEMENTS = {
    "single": ("there is {x}", "this is a picture of {x}"),
    "several": ("there are some {x}", "the picture shows some {x}"),
    "kind": ("the things are {x}", "all things here are {x}"),
    "number": ("there are {x}", "the picture shows {x}"),
    "colour": ("the {noun} is {x}", "the color of the {noun} is {x}"),
    "relation": ("the {x} is {rel} the {y}",),
    "bigger": ("the {x} is bigger than the {y}",),
    "smaller": ("the {x} is smaller than the {y}",),
    "between": ("the {x} is between the {y} and the {z}",),
    "more": ("there are more {x} than {y}",),
    "fewer": ("there are fewer {y} than {x}",),
    "biggest": ("the biggest {noun} is {x}",),
    "smallest": ("the smallest {noun} is {x}",),
    "front": ("the {x} is in front of the {y}",),
    "behind": ("the {y} is behind the {x}",),
}
"""What a picture decides. Each is used as often where it is true as where it is false."""

QUESTIONS = {
    "what": "what is in the picture",
    "kind": "what are the things",
    "number": "how many {x} are there",
    "total": "how many things are there",
    "colour": "what color is the {x}",
    "colours": "what color are the {x}",
    "size": "how big is the {x}",
    "relation": "what is {rel} the {x}",
    "between": "what is between the {x} and the {y}",
    "front": "what is in front of the {x}",
    "behind": "what is behind the {x}",
    "bigger": "is the {x} bigger than the {y}",
    "biggest": "what color is the biggest {x}",
    "smallest": "what color is the smallest {x}",
}
