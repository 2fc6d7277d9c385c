"""A small grammar of sentences: digits, letters, commands, phrases.

The article "a" is avoided: "a" is always the letter.
"""

# <name> is replaced by one of its alternatives, each as likely.
_RULES = """
sentence: <digit> <digit> <digit> <digit>
    | <digit> <digit> <digit> <digit> <digit> <digit>
    | <letter> <letter> <letter> | <letter> <letter> <letter> <digit> <digit>
    | <command> | <command> | <command> please | <command> <time> | <date>
    | <time> | <phrase> | <phrase>
command: turn <switch> the <device> in the <room> | turn the <device> <switch>
    | <move> the <door> of the <room> | set the alarm for <hour> o'clock
    | set the timer for <number> <unit> | call <person> <where>
    | send my message to <person> | play <music> in the <room>
    | don't <move> the <door> | show me the way to <city>
    | <step> <number> steps to the <side>
phrase: my name is <person> | good <part> <person>
    | thank you very much <person> | what's the weather like in <city>
    | the <colour> <thing> is on the table
    | i would like that <colour> <thing> | where is my <colour> <thing>
    | let's meet in <city> on <day> | she lives in <city>
    | he was here on <day> <part> | they have <number> <colour> birds
date: <day> the <ordinal> of <month> | the <ordinal> of <month>
    | <month> the <ordinal>
time: at <hour> o'clock | at half past <hour> | at <number> past <hour>
    | at quarter to <hour>
digit: zero | one | two | three | four | five | six | seven | eight | nine
letter: a | b | c | d | e | f | g | h | i | j | k | l | m | n | o | p | q | r
    | s | t | u | v | w | x | y | z
hour: one | two | three | four | five | six | seven | eight | nine | ten
    | eleven | twelve
number: two | three | five | eight | ten | twelve | fifteen | twenty
    | twenty <digit> | thirty <digit> | forty <digit>
ordinal: first | second | third | fourth | fifth | sixth | seventh | eighth
    | ninth | tenth | eleventh | twelfth | twentieth | thirtieth
day: monday | tuesday | wednesday | thursday | friday | saturday | sunday
month: january | february | march | april | may | june | july | august
    | september | october | november | december
part: morning | evening | afternoon
unit: minutes | seconds | hours
switch: on | off | up | down
device: light | radio | fan | heater | lamp | television
room: kitchen | bedroom | garden | office | hall | garage
move: open | close | lock | paint | fix
door: door | window | gate | box
step: go | walk | jump | move
side: left | right | north | south | east | west
person: anna | george | martha | oliver | judy | walter | sophie | henry
    | victoria | thomas | peter | zoe
where: at home | at work | now | again
music: some music | some jazz | the news | that song
city: london | paris | boston | rome | dublin | york | vienna
colour: red | blue | green | yellow | black | white | brown
thing: cup | shirt | bag | book | chair | watch | coat
"""
GRAMMAR = {
    name: [" ".join(choice.split()) for choice in choices.split("|")]
    for name, choices in (
        rule.split(":")
        for rule in _RULES.replace("\n    ", " ").splitlines()
        if rule
    )
}


def sentence(rng, symbol="sentence"):
    """Draw a sentence: lower-case words and letters, one space between them.

    Example
    -------
    >>> import numpy
    >>> sentence(numpy.random.default_rng(0), "digit") in GRAMMAR["digit"]
    True
    """
    choices = GRAMMAR[symbol]
    words = choices[int(rng.integers(len(choices)))].split(" ")
    return " ".join(
        sentence(rng, word[1:-1]) if word.startswith("<") else word
        for word in words
    )


def spoken(text):
    """Spell a sentence of the grammar so that eSpeak reads it as meant.

    Example
    -------
    >>> spoken("b a one")
    'b eigh one'
    """
    return " ".join("eigh" if word == "a" else word for word in text.split())
