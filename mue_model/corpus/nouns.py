"""What can be drawn: nouns with their OpenMoji pictures, which of them look alike, and which training never sees.

Each noun is one English word that a sober caption would use for the picture. Left out are flags, signs, faces and
people, pictures that show two or more of a thing, and of things told apart by colour alone all but one.
"""

from __future__ import annotations

from dataclasses import dataclass

_PICTURES = {
    "beasts": (
        "rat=1F400 mouse=1F401/1F42D buffalo=1F403 cow=1F404/1F42E tiger=1F405/1F42F leopard=1F406 "
        "rabbit=1F407/1F430 cat=1F408/1F431 horse=1F40E/1F434 goat=1F410 sheep=1F411 monkey=1F412/1F435 "
        "dog=1F415/1F436 pig=1F416/1F437 boar=1F417 elephant=1F418 koala=1F428 camel=1F42A wolf=1F43A bear=1F43B "
        "panda=1F43C hamster=1F439 chipmunk=1F43F lion=1F981 unicorn=1F984 fox=1F98A deer=1F98C gorilla=1F98D "
        "rhino=1F98F giraffe=1F992 zebra=1F993 hedgehog=1F994 kangaroo=1F998 llama=1F999 hippo=1F99B raccoon=1F99D "
        "badger=1F9A1 mammoth=1F9A3 sloth=1F9A5 otter=1F9A6 orangutan=1F9A7 skunk=1F9A8 beaver=1F9AB bison=1F9AC "
        "moose=1FACE donkey=1FACF bat=1F987"
    ),
    "birds": (
        "rooster=1F413 hen=1F414 chick=1F424 sparrow=1F426 penguin=1F427 dove=1F54A turkey=1F983 eagle=1F985 "
        "duck=1F986 owl=1F989 peacock=1F99A parrot=1F99C swan=1F9A2 dodo=1F9A4 flamingo=1F9A9 goose=1FABF"
    ),
    "water animals": (
        "whale=1F433 dolphin=1F42C fish=1F41F octopus=1F419 shell=1F41A turtle=1F422 crocodile=1F40A frog=1F438 "
        "crab=1F980 shark=1F988 shrimp=1F990 squid=1F991 lobster=1F99E seal=1F9AD oyster=1F9AA orca=1FACD "
        "jellyfish=1FABC coral=1FAB8"
    ),
    "small and strange animals": (
        "snail=1F40C snake=1F40D caterpillar=1F41B ant=1F41C bee=1F41D ladybug=1F41E spider=1F577 butterfly=1F98B "
        "scorpion=1F982 lizard=1F98E grasshopper=1F997 mosquito=1F99F fly=1FAB0 worm=1FAB1 beetle=1FAB2 "
        "cockroach=1FAB3 dragon=1F409 dinosaur=1F995 ghost=1F47B robot=1F916 alien=1F47D"
    ),
    "plants and sky": (
        "sprout=1F331 pine=1F332 oak=1F333 palm=1F334 cactus=1F335 tulip=1F337 rose=1F339 hibiscus=1F33A "
        "sunflower=1F33B clover=1F340 leaf=1F341 mushroom=1F344 lotus=1FAB7 bouquet=1F490 log=1FAB5 rainbow=1F308 "
        "volcano=1F30B globe=1F310 moon=1F319 sun=2600/1F31E star=2B50 cloud=2601 snowman=26C4 flame=1F525 "
        "drop=1F4A7 planet=1FA90 mountain=26F0 island=1F3DD rock=1FAA8"
    ),
    "fruit and vegetables": (
        "chestnut=1F330 chili=1F336 corncob=1F33D tomato=1F345 eggplant=1F346 watermelon=1F349 tangerine=1F34A "
        "lemon=1F34B banana=1F34C pineapple=1F34D apple=1F34E pear=1F350 peach=1F351 strawberry=1F353 avocado=1F951 "
        "cucumber=1F952 potato=1F954 carrot=1F955 peanut=1F95C kiwi=1F95D coconut=1F965 mango=1F96D onion=1F9C5 "
        "olive=1FAD2 radish=1FADC pumpkin=1F383"
    ),
    "food": (
        "hotdog=1F32D taco=1F32E burrito=1F32F burger=1F354 pizza=1F355 drumstick=1F357 loaf=1F35E donut=1F369 "
        "cookie=1F36A candy=1F36C lollipop=1F36D pudding=1F36E cake=1F382 croissant=1F950 baguette=1F956 egg=1F95A "
        "dumpling=1F95F pie=1F967 pretzel=1F968 steak=1F969 sandwich=1F96A bagel=1F96F cupcake=1F9C1 waffle=1F9C7 "
        "salad=1F957"
    ),
    "table and kitchen": (
        "pan=1F373 goblet=1F377 cocktail=1F378 mug=1F37A teacup=2615 bottle=1F37E plate=1F37D spoon=1F944 can=1F96B "
        "shaker=1F9C2 teapot=1FAD6 jar=1FAD9 knife=1F52A vase=1F3FA basket=1F9FA bucket=1FAA3 barrel=1F6E2"
    ),
    "clothes": (
        "crown=1F451 shirt=1F455 dress=1F457 kimono=1F458 handbag=1F45C pouch=1F45D sneaker=1F45F sandal=1F461 "
        "boot=1F462 vest=1F9BA cap=1F9E2 scarf=1F9E3 coat=1F9E5 helmet=26D1 swimsuit=1FA71 backpack=1F392 "
        "ring=1F48D watch=231A lipstick=1F484"
    ),
    "play and sport": (
        "balloon=1F388 gift=1F381 bow=1F380 lantern=1F3EE trophy=1F3C6 medal=1F3C5 ticket=1F3AB tent=26FA die=1F3B2 "
        "football=1F3C8 basketball=1F3C0 volleyball=1F3D0 baseball=26BE paddle=1F3D3 skate=26F8 frisbee=1F94F "
        "boomerang=1FA83 yoyo=1FA80 kite=1FA81 puzzle=1F9E9 teddy=1F9F8 joystick=1F579 gamepad=1F3AE target=1F3AF "
        "slide=1F6DD parachute=1FA82 doll=1FA86 pawn=265F rook=265C bishop=265D"
    ),
    "music and sound": (
        "saxophone=1F3B7 guitar=1F3B8 trumpet=1F3BA violin=1F3BB drum=1F941 banjo=1FA95 accordion=1FA97 flute=1FA88 "
        "harp=1FA89 trombone=1FA8A microphone=1F3A4 radio=1F4FB bell=1F514 horn=1F4EF megaphone=1F4E3 piano=1F3B9"
    ),
    "vehicles": (
        "helicopter=1F681 train=1F686 tram=1F68A bus=1F68C van=1F690 ambulance=1F691 firetruck=1F692 taxi=1F695 "
        "hatchback=1F697 jeep=1F699 truck=1F69B tractor=1F69C ship=1F6F3 canoe=1F6F6 sailboat=26F5 speedboat=1F6A4 "
        "bicycle=1F6B2 motorcycle=1F3CD scooter=1F6F4 moped=1F6F5 rickshaw=1F6FA pickup=1F6FB airplane=2708 "
        "gondola=1F6A1 rocket=1F680 satellite=1F6F0 wheelbarrow=E344 wheel=1F6DE"
    ),
    "buildings": (
        "house=1F3E0 castle=1F3F0 church=26EA mosque=1F54C temple=1F6D5 hospital=1F3E5 school=1F3EB factory=1F3ED "
        "hotel=1F3E8 bank=1F3DB fountain=26F2 tower=1F5FC hut=1F6D6 crane=1F3D7 pagoda=1F3EF turbine=E2D1"
    ),
    "furniture and household": (
        "bed=1F6CF armchair=E141 chair=1FA91 toilet=1F6BD bathtub=1F6C1 shower=1F6BF mirror=1FA9E window=1FA9F "
        "door=1F6AA candle=1F56F clock=23F0 hourglass=231B stopwatch=23F1 bulb=1F4A1 flashlight=1F526 plug=1F50C "
        "battery=1F50B broom=1F9F9 sponge=1F9FD razor=1FA92 toothbrush=1FAA5 plunger=1FAA0 painting=1F5BC "
        "television=1F4FA laptop=1F4BB printer=1F5A8 phone=1F4F1 camera=1F4F7 projector=1F4FD disc=1F4BF "
        "wastebasket=1F5D1 ladder=1FA9C umbrella=2602 fan=1FAAD chest=1FA8E cabinet=1F5C4"
    ),
    "desk and post": (
        "pushpin=1F4CC ruler=1F4CF pencil=270F pen=1F58A paintbrush=1F58C crayon=1F58D book=1F4D5 newspaper=1F4F0 "
        "envelope=2709 mailbox=1F4EB box=1F4E6 calendar=1F4C5 clipboard=1F4CB folder=1F4C1 scroll=1F4DC map=1F5FA "
        "briefcase=1F4BC suitcase=1F9F3 bookmark=1F516 label=1F3F7 magnifier=1F50D coin=1FA99 palette=1F3A8 "
        "spool=1F9F5"
    ),
    "tools and other things": (
        "key=1F511 padlock=1F512 hammer=1F528 wrench=1F527 screwdriver=1FA9B saw=1FA9A axe=1FA93 pick=26CF "
        "shovel=1FA8F dagger=1F5E1 shield=1F6E1 bomb=1F4A3 syringe=1F489 pill=1F48A bandage=1FA79 thermometer=1F321 "
        "tooth=1F9B7 bone=1F9B4 brain=1F9E0 heart=2764 skull=1F480 microscope=1F52C telescope=1F52D compass=1F9ED "
        "gear=2699 anchor=2693 buoy=1F6DF gem=1F48E extinguisher=1F9EF siren=1F6A8 tombstone=1FAA6 coffin=26B0 "
        "feather=1FAB6 toolbox=1F9F0 magnet=1F9F2 trident=1F531 flag=1F6A9 hook=1FA9D drone=E1D2"
    ),
}

_LOOK_ALIKES = (
    "mouse rat hamster",
    "cow buffalo bison",
    "tiger leopard cat lion",
    "sheep goat llama",
    "horse donkey zebra deer",
    "fox wolf dog",
    "bear panda koala",
    "monkey gorilla orangutan",
    "duck goose swan",
    "sparrow dove eagle parrot",
    "hen chick rooster turkey",
    "whale dolphin orca shark",
    "crab lobster scorpion shrimp",
    "ant spider fly beetle",
    "oak pine palm",
    "rose tulip sunflower hibiscus",
    "apple tomato peach tangerine",
    "lemon potato mango avocado",
    "cucumber eggplant chili banana",
    "burger sandwich hotdog taco",
    "cake pie pudding cupcake",
    "mug teacup goblet cocktail",
    "vase jar can",
    "sneaker sandal boot",
    "shirt dress coat swimsuit",
    "handbag pouch backpack briefcase",
    "basketball volleyball baseball",
    "guitar violin banjo",
    "bus tram train van",
    "hatchback taxi jeep pickup",
    "ship sailboat speedboat canoe",
    "house church school hospital",
    "clock watch stopwatch",
    "pencil pen crayon paintbrush",
    "book folder calendar clipboard",
    "key wrench screwdriver",
    "television laptop phone camera",
)
"""Nouns whose pictures take a second look to tell apart, above all in one colour."""

_UNSEEN_LOOK_ALIKES = (
    "trumpet trombone saxophone horn",
    "axe pick hammer shovel",
    "pawn rook bishop",
    "bicycle motorcycle scooter moped",
    "castle mosque temple pagoda",
)
_UNSEEN_SINGLES = (
    "snail penguin giraffe cactus snowman carrot pretzel crown kite helicopter umbrella candle skull anchor"
)


@dataclass(frozen=True, slots=True)
class Noun:
    """A word and the pictures it names; each picture is a file name of OpenMoji without its suffix."""

    word: str
    pictures: tuple[str, ...]


def _parsed() -> dict[str, Noun]:
    pairs = (item.split("=") for item in " ".join(_PICTURES.values()).split())
    return {word: Noun(word, tuple(files.split("/"))) for word, files in pairs}


NOUNS: dict[str, Noun] = _parsed()
"""Every noun by its word, in the order of the table."""

UNSEEN_NOUNS: frozenset[str] = frozenset(" ".join((*_UNSEEN_LOOK_ALIKES, _UNSEEN_SINGLES)).split())
"""Nouns that only the test part `new_nouns` shows. A look-alike is in here with its whole group."""

SEEN_GROUPS: tuple[tuple[str, ...], ...] = tuple(tuple(group.split()) for group in _LOOK_ALIKES)
UNSEEN_GROUPS: tuple[tuple[str, ...], ...] = tuple(tuple(group.split()) for group in _UNSEEN_LOOK_ALIKES)

GROUP_OF: dict[str, tuple[str, ...]] = {word: group for group in (*SEEN_GROUPS, *UNSEEN_GROUPS) for word in group}
"""The look-alikes of a noun, itself included; nouns without look-alikes are missing."""
