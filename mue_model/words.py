"""The caption words that are one token each in the vocabulary of the small model that ships.

The order fixes the token ids: changing it, or any word, makes another vocabulary and so another model.
"""

_WORDS = {
    "function words": (
        "what does the image describe is are a an this that these those it its there here and or but not no with "
        "without of to from by for as at on in into onto out off up down be been being was were has have had do "
        "did can will all some any each every both other another same different one who which where when how very "
        "so too only also more most less few many several much than then while their his her they he she you we i "
        "my your our"
    ),
    "relations": (
        "left right above below under over behind before after front back top bottom middle center corner side "
        "edge next near beside between inside outside around across along through against away far close together "
        "apart toward upon"
    ),
    "numbers": (
        "zero two three four five six seven eight nine ten eleven twelve twenty hundred first second third last "
        "half pair group row line pile bunch set"
    ),
    "colours": (
        "red green blue yellow orange purple pink brown black white gray grey cyan magenta violet golden silver "
        "dark light bright pale colorful color colored"
    ),
    "shapes and pictures": (
        "circle square triangle rectangle star cross ring diamond oval cube ball sphere dot stripe shape shapes "
        "pattern background foreground picture photo drawing painting scene view"
    ),
    "looks": (
        "big small large little tiny huge tall short long wide narrow thin thick round flat old new young empty "
        "full open closed clean dirty wet dry hot cold wooden metal plastic glass stone striped plain solid "
        "filled hollow blurry clear sunny cloudy snowy busy beautiful"
    ),
    "people": (
        "man men woman women person people boy girl child children baby lady player crowd hand hands head face "
        "hair arm leg shirt hat dress jacket shoes glasses tie"
    ),
    "animals": (
        "cat cats dog dogs bird birds horse horses cow cows sheep elephant zebra giraffe bear fish duck animal animals"
    ),
    "vehicles and roads": (
        "car cars truck bus train bike bicycle motorcycle boat ship airplane plane kite road street sidewalk "
        "track tracks station bridge traffic sign"
    ),
    "places and nature": (
        "house building buildings room kitchen bathroom bedroom wall floor window door roof city town park field "
        "grass tree trees flower flowers plant leaf sky cloud clouds sun moon snow water sea ocean lake river "
        "beach sand mountain hill rock rocks fence yard forest"
    ),
    "things": (
        "table chair bench bed couch desk lamp clock mirror sink toilet oven bowl cup plate bottle fork knife "
        "spoon box bag basket book books phone computer laptop keyboard screen camera umbrella bat racket "
        "skateboard surfboard skis board toy vase"
    ),
    "food": "food pizza cake bread sandwich apple banana fruit vegetables meat cheese coffee wine",
    "actions": (
        "sitting standing walking running riding holding wearing looking eating drinking playing jumping flying "
        "lying sleeping parked hanging driving talking smiling made covered"
    ),
}

CAPTION_WORDS: tuple[str, ...] = tuple(" ".join(_WORDS.values()).split())
"""Each distinct, lower case, letters only."""
