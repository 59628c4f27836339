"""The material of the quick start's stories: plots, characters, places, things, and sentences of no use.

A plot is told in six beats, each leading to the next; a beat has several wordings. ``{n}`` is the character,
``{o}`` the thing, ``{p}`` the place and ``{h}`` the helper.
"""

from dataclasses import dataclass

BEATS_PER_PLOT = 6


@dataclass(frozen=True)
class Plot:
    """A kind of story.

    Attributes:
        task: what happens, as a prompt asks for it.
        beats: in causal order, each with its wordings.
    """

    task: str
    beats: tuple[tuple[str, ...], ...]


PLOTS = (
    Plot(
        "{n} finds a lost {o} at the {p}",
        (
            ("Last night {n} lost a precious {o}.", "One morning {n} missed her old {o}."),
            ("She searched every corner of the {p}.", "She looked all over the quiet {p}."),
            ("A kind {h} joined her with a lamp.", "Then a {h} offered to search with her."),
            ("Together they followed small tracks in the dust.", "They saw fresh marks under a loose board."),
            ("There lay the {o}, hidden beneath dry leaves.", "Behind some stones the {o} was waiting."),
            ("Smiling, {n} thanked the {h} and walked home.", "Happy at last, {n} hugged the {h}."),
        ),
    ),
    Plot(
        "{n} mends a broken {o} at the {p}",
        (
            ("Poor {n} dropped her {o} and it broke.", "A storm had cracked the {o} of {n}."),
            ("She carried the pieces down to the {p}.", "She brought every part to the {p}."),
            ("A clever {h} lent her glue and wire.", "There a {h} showed her the right tools."),
            ("For hours they joined one splinter to another.", "Slowly they fitted each crack with care."),
            ("By evening the {o} was whole again.", "At dusk the {o} looked like new."),
            ("Happily {n} paid the {h} with a song.", "Proudly {n} shared bread with the {h}."),
        ),
    ),
    Plot(
        "{n} guards a golden {o} at the {p}",
        (
            ("Young {n} was chosen to guard a golden {o}.", "The king gave {n} a golden {o} to watch."),
            ("All night she stood awake in the {p}.", "She locked every gate around the {p}."),
            ("At midnight a thief climbed over her wall.", "Suddenly a masked robber crept behind her."),
            ("Quickly {n} rang the bell and called a {h}.", "Her shout woke a strong {h} nearby."),
            ("The {h} caught the stranger by his coat.", "In a moment the {h} blocked the door."),
            ("So the {o} stayed safe, and {n} slept.", "For the rescued {o} {n} earned a medal."),
        ),
    ),
    Plot(
        "{n} builds a tiny {o} for the {p}",
        (
            ("Clever {n} wished to build a tiny {o}.", "In spring {n} drew plans for a {o}."),
            ("The children of the {p} had never seen one.", "It should stand in the middle of the {p}."),
            ("A patient {h} brought her wood and nails.", "From a {h} she borrowed a sharp saw."),
            ("They hammered, measured and painted for a week.", "Day after day they cut thin planks."),
            ("When the paint dried, the {o} shone brightly.", "Finally the {o} stood firm and bright."),
            ("Everyone cheered for {n} and the {h}.", "That night {n} danced with the {h}."),
        ),
    ),
    Plot(
        "{n} saves an old {o} from a fire at the {p}",
        (
            ("Smoke rose while {n} visited the {p}.", "At noon {n} smelled a fire near the {p}."),
            ("Inside stood an old {o}, loved by all.", "Flames were close to the village {o}."),
            ("She wrapped a wet scarf around her face.", "Without fear she filled two buckets."),
            ("A brave {h} held the burning door open.", "Beside her a {h} poured water on the heat."),
            ("Then {n} pulled the {o} out in time.", "Coughing, {n} dragged the {o} into fresh air."),
            ("Later the {h} told everybody about her courage.", "The {h} called her a true hero."),
        ),
    ),
    Plot(
        "{n} wins a strange {o} in a race at the {p}",
        (
            ("Bravely {n} entered the great race at the {p}.", "In summer {n} went running at the {p}."),
            ("The prize was a strange {o} of silver.", "More than gold {n} wanted the strange {o}."),
            ("A wise {h} taught her how to breathe.", "Each dawn a {h} trained with her."),
            ("Halfway she stumbled and hurt her knee.", "Near the bridge a rival pushed her aside."),
            (
                "She remembered the lesson and passed them all.",
                "With a last effort she crossed the line first.",
            ),
            ("Proudly {n} lifted the {o} and thanked the {h}.", "The {h} wept when {n} got her {o}."),
        ),
    ),
    Plot(
        "{n} sells a magic {o} at the {p}",
        (
            ("Once {n} owned a magic {o} but no money.", "Hunger made {n} sell her magic {o}."),
            ("She spread a blanket at the busy {p}.", "Early she walked toward the crowded {p}."),
            ("Most people laughed and offered her a penny.", "Nobody believed in its secret power."),
            ("Then a {h} asked to test its power.", "A curious {h} touched it and gasped."),
            ("Sparks flew from it, and roses grew.", "Its soft music filled the street."),
            ("The {h} bought the {o}, and {n} ate well.", "So {n} gave the {h} her {o} for gold."),
        ),
    ),
    Plot(
        "{n} returns a stolen {o} to the {p}",
        (
            ("By chance {n} found a stolen {o} in her bag.", "Somebody left a stolen {o} with {n}."),
            ("It belonged to the people of the {p}.", "A label said it came from the {p}."),
            ("The road was long, so she hired a {h}.", "She asked a {h} to drive her there."),
            ("Heavy rain and mud slowed their journey.", "Twice their wheels sank into deep snow."),
            ("At sunrise they reached the gate with the {o}.", "After three days the {o} arrived safely."),
            ("Now {n} and the {h} were guests at a feast.", "A choir sang for {n} and the {h}."),
        ),
    ),
)

NAMES = ("Mara", "Nina", "Clara", "Rosa", "Lena", "Ida", "Vera", "Greta", "Tilda", "Hanna", "Olga", "Petra")
OBJECTS = (
    *("lantern", "violin", "clock", "kite", "mirror", "compass", "flute"),
    *("teapot", "statue", "basket", "drum", "crown", "puppet", "necklace"),
)
PLACES = (
    *("harbor", "market", "castle", "garden", "station", "library", "mill"),
    *("lighthouse", "forest", "theater", "school", "tower", "island"),
)
HELPERS = (
    *("baker", "sailor", "farmer", "teacher", "doctor"),
    *("painter", "tailor", "hunter", "gardener", "piper"),
)

# Sentences that belong to no story here; each stands for a writer who has lost the thread.
STRAYS = (
    "Seven cups of tea cost nine coins.",
    "Most trains leave on the hour.",
    "Bananas contain sugar and potassium.",
    "Paper sizes differ between countries.",
    "Some whales dive for ninety minutes.",
    "Cement hardens when mixed with sand.",
    "Tuesday follows Monday in most calendars.",
    "Square numbers include sixteen and forty.",
)
