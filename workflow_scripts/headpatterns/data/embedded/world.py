"""The small invented world: people, things, lessons and conditions, in English and Chinese.

The contents of the datasets and of the corpus come from here, from `activities` and from `facts`. So a model can learn
the knowledge in pretraining and each task's form in fine-tuning. The vocabulary is small, so that tiny models can learn
it.
"""

from dataclasses import dataclass

PEOPLE = {
    "Ann": "she",
    "Eva": "she",
    "Mia": "she",
    "Sue": "she",
    "Kim": "she",
    "Ben": "he",
    "Tom": "he",
    "Leo": "he",
    "Max": "he",
    "Sam": "he",
}
NAMES = tuple(PEOPLE)

# singular -> plural, things that are counted, bought and given away
THINGS = {
    "apple": "apples",
    "egg": "eggs",
    "book": "books",
    "cup": "cups",
    "card": "cards",
    "ball": "balls",
    "pen": "pens",
    "seed": "seeds",
    "stone": "stones",
    "cake": "cakes",
    "plate": "plates",
    "hat": "hats",
}

# Lists of numbers in programs. The assistant uses these, CodeSearchNet uses THINGS, and the corpus uses both.
QUANTITIES = {
    "value": "values",
    "number": "numbers",
    "point": "points",
    "price": "prices",
    "size": "sizes",
    "age": "ages",
    "cost": "costs",
    "mark": "marks",
}


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@dataclass(frozen=True)
class Schema:
    """A sentence about two parties whose last words decide which of them is meant.

    `first` and `second` complete `text` so that the blank stands for `{a}` and for `{b}`. The parties are of two kinds,
    because a tiny model uses kinds more easily than order. `objects` fills `{x}`. The blank of a thing follows `the`.
    """

    text: str
    first: str
    second: str
    parties: tuple[tuple[str, ...], tuple[str, ...]]
    objects: tuple[str, ...] = ("",)


THING_NAMES = tuple(THINGS)
CONTAINERS = ("bag", "box", "basket", "drawer")
VESSELS = ("bottle", "bucket", "jug", "can")
ROLES = ("the cook", "the guard", "the doctor", "the farmer", "the teacher", "the baker", "the smith", "the judge")
FOOD = ("apple", "egg", "cake", "bread", "pie")

SCHEMAS = (
    Schema("the {a} does not fit in the {b} because the _", "is too big", "is too small", (THING_NAMES, CONTAINERS)),
    Schema("the {a} broke the {b} because the _", "was hard", "was weak", (("stone", "ball", "book"), CONTAINERS)),
    Schema("water ran from the {a} into the {b} until the _", "was empty", "was full", (VESSELS, CONTAINERS)),
    Schema("{a} gave {b} the {x} because _", "was full", "was hungry", (NAMES, ROLES), FOOD),
    Schema("{a} sold {b} the {x} because _", "needed money", "needed it", (ROLES, NAMES), THING_NAMES),
    Schema("{a} won the race against {b} because _", "was fast", "was slow", (NAMES, ROLES)),
    Schema("{a} lent {b} the {x} because _", "was rich", "was poor", (ROLES, NAMES), THING_NAMES),
)

# Only for documents of the corpus.
FURTHER_SCHEMAS = (
    Schema("{a} visited {b} because _", "was kind", "was ill", (NAMES, ROLES)),
    Schema("{a} followed {b} because _", "was lost", "was a guide", (NAMES, ROLES)),
    Schema("{a} paid {b} for the {x} because _", "wanted it", "made it", (NAMES, ROLES), THING_NAMES),
    Schema("the {a} does not go into the {b} because the _", "is too wide", "is too narrow", (THING_NAMES, CONTAINERS)),
    Schema("the {a} hurt the {b} because the _", "was sharp", "was soft", (THING_NAMES, CONTAINERS)),
    Schema("the {a} hides the {b} because the _", "stands in front", "stands behind", (CONTAINERS, THING_NAMES)),
    Schema("the {a} costs more than the {b} because the _", "is new", "is old", (CONTAINERS, VESSELS)),
    Schema("sand fell from the {a} into the {b} until the _", "had none", "had enough", (VESSELS, CONTAINERS)),
    Schema("{a} asked {b} about the {x} because _", "knew little", "knew a lot", (NAMES, ROLES), THING_NAMES),
    Schema("{a} thanked {b} for the {x} because _", "got it", "gave it", (ROLES, NAMES), THING_NAMES),
    Schema("{a} taught {b} because _", "was a master", "was a child", (ROLES, NAMES)),
    Schema("{a} called {b} because _", "was alone", "was late", (ROLES, NAMES)),
    Schema("{a} carried {b} because _", "was tall", "was tired", (NAMES, ROLES)),
    Schema("{a} waited for {b} because _", "came early", "came last", (ROLES, NAMES)),
)


# The taller of two, the top and the bottom of an order.
COMPARISONS = (
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("faster", "fastest", "slowest"),
    ("richer", "richest", "poorest"),
    ("stronger", "strongest", "weakest"),
)

# kind of creature -> (what all of them are, what none of them is)
KINDS = {
    "cat": ("animal", "plant"),
    "rose": ("plant", "animal"),
    "hen": ("bird", "fish"),
    "trout": ("fish", "bird"),
    "bee": ("insect", "mammal"),
    "cow": ("mammal", "insect"),
}

# cause and effect, each as an affirmative sentence, its negation and its variable in a program
CONDITIONS = (
    (("it rains", "it does not rain", "rain"), ("the road is wet", "the road is not wet", "wet")),
    (("the sun shines", "the sun does not shine", "sun"), ("the room is warm", "the room is not warm", "warm")),
    (("the bell rings", "the bell does not ring", "bell"), ("the shop is open", "the shop is not open", "open")),
    (("the lamp is on", "the lamp is not on", "lamp"), ("the hall is light", "the hall is not light", "light")),
    (("the wind blows", "the wind does not blow", "wind"), ("the boat moves", "the boat does not move", "moves")),
)

# what people want to learn -> where, with whom, and what they need
LESSONS = {
    "swim": ("in the lake", "a coach", "time"),
    "read": ("at school", "a teacher", "books"),
    "paint": ("at home", "a painter", "brushes"),
    "cook": ("in the kitchen", "a cook", "pots"),
    "count": ("at school", "a teacher", "cards"),
    "sew": ("at home", "a tailor", "cloth"),
    "write": ("at school", "a teacher", "pens"),
    "run": ("in the park", "a coach", "shoes"),
    "build": ("in the yard", "a builder", "tools"),
    "fish": ("at the river", "a fisher", "a rod"),
}

NUMBERS_ZH = "零一二三四五六七八九"

NAMES_ZH = ("小明", "小红", "小华", "小丽")

# thing -> measure word
THINGS_ZH = {"苹果": "个", "鸡蛋": "个", "书": "本", "杯子": "个", "笔": "支", "糖": "颗", "花": "朵", "球": "个"}

# animal -> what it eats, where it lives, how many legs it has, its colour
ANIMALS_ZH = {
    "牛": ("草", "农场", "四", "黄"),
    "羊": ("草", "山上", "四", "白"),
    "猫": ("鱼", "家里", "四", "白"),
    "狗": ("肉", "家里", "四", "黄"),
    "鸡": ("米", "农场", "两", "黄"),
    "鱼": ("水草", "河里", "零", "红"),
    "鸟": ("虫", "树上", "两", "红"),
    "马": ("草", "农场", "四", "黑"),
    "熊": ("蜂蜜", "山上", "四", "黑"),
    "青蛙": ("虫", "河里", "四", "绿"),
    "蜜蜂": ("花蜜", "树上", "六", "黄"),
    "兔子": ("菜", "山上", "四", "白"),
}
# For each attribute above: the question and the statement about an animal.
QUESTIONS_ZH = ("{s}吃什么？", "{s}住在哪里？", "{s}有几条腿？", "{s}是什么颜色？")
STATEMENTS_ZH = ("{s}吃{v}。", "{s}住在{v}。", "{s}有{v}条腿。", "{s}是{v}色的。")
PLACES_ZH = ("农场", "山上", "河边", "公园", "学校", "家里")
