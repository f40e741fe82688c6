"""Code of a refusal → what it means and what to do: the one table of `docs/errors.md` and of hints that no place says better.

>>> CATALOGUE["SG301"].cause
'An index on the right is neither summed over nor on the left side.'
>>> family("SG301").title
'Indices and shapes'

A code has one meaning. Each row has a tested example (tests/errors); the page is made by `python -m tests.errors`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CATALOGUE", "FAMILIES", "Family", "Meaning", "family"]


class Family(NamedTuple):
    title: str
    intro: str


class Meaning(NamedTuple):
    cause: str  # a plain sentence
    fix: str  # what to do; the hint where the place of the error has none of its own


FAMILIES = {
    "1": Family("Syntax", "The text cannot be read as equations; the place is where reading stopped."),
    "2": Family("Names", "A name is unknown, taken, or stands for two things."),
    "3": Family("Indices and shapes", "Indices, their ranges and the arrays they run over do not fit together."),
    "4": Family("Graph", "The equations can be read, but not computed or differentiated as asked."),
    "5": Family("Size", "Something is larger than a limit; it is refused before time or memory is spent on it."),
    "6": Family("Data at the call", "Arrays, settings and data sets that do not fit the model; found before the kernel runs."),
    "7": Family("Files and programs", "A file, a folder, the command line, or a program that symgrad calls."),
}


def family(code: str) -> Family:
    return FAMILIES[code[2]]


_SYNTAX = {
    "SG101": Meaning("An invisible or control character stands in the text.", "delete the character; copied text often has some"),
    "SG102": Meaning(
        "A letter of an alphabet that names do not use, often one that looks like a Latin letter.",
        "type the name again; names use a-z, A-Z, digits, _ and Greek letters",
    ),
    "SG103": Meaning("A character that the language does not have.", "write operators as + - * / ^, and functions by name"),
    "SG104": Meaning("An operator, a bracket or an = has nothing to work on.", "write a number, a name or a bracket there"),
    "SG105": Meaning("Something else was expected at this place.", "write what is expected, or begin a new line before it"),
    "SG106": Meaning("A bracket or brace does not pair.", "close what is open, in the order in which it was opened"),
    "SG107": Meaning("Two comparisons stand in a row.", "nest them: where(a < b, where(b < c, …, …), …)"),
    "SG108": Meaning("A number and a name follow a division without a sign.", "put brackets around what is divided by"),
    "SG109": Meaning(
        "A name with a star may be just that, or the begin of a product.", "write y^* for the name, y*(…) for the product"
    ),
    "SG110": Meaning("A word of program code stands in the equations.", "write equations; no code is ever run"),
    "SG111": Meaning("A character of program code or markup stands in the equations.", "write equations; no code is ever run"),
    "SG112": Meaning("Two numbers follow each other.", "write one number, or an operator between them"),
    "SG113": Meaning("A sum or another reduction names no index.", "say over what: sum(… for i)"),
    "SG114": Meaning("Something that is no name has indices.", "give it a name first: y[i] = …"),
    "SG115": Meaning("The index of a range or one of its ends is missing.", "write index i in 1..N, or sum(… for i in 1..N)"),
    "SG116": Meaning("A comparison stands where a number is needed, or the other way round.", "use where(condition, a, b)"),
    "SG117": Meaning("A constant part of an equation is no finite real number.", "look at the numbers: what are they meant to be?"),
    "SG118": Meaning("A function has too many arguments or too few.", "give it as many arguments as it takes"),
    "SG119": Meaning("What is given is no text, or no program, where one is needed.", "sg.parse makes a program of a text"),
    "SG120": Meaning("The text holds no equation, or no claim.", "write at least one, such as J = x^2"),
    "SG121": Meaning("What stands left of = cannot be defined.", "write a name there, or a name with indices"),
    "SG122": Meaning("The bytes of a file are no UTF-8.", "save the file as UTF-8"),
    "SG123": Meaning("The left side of a claim is no derivative.", "write dJ/dx = …, with J and x of the model"),
    "SG124": Meaning("A claim is about a second derivative, which is not checked yet.", "claim a first derivative"),
    "SG125": Meaning("A claim about whole arrays has no meaning, or mixes arrays with indices.", "write the claim in indices"),
    "SG130": Meaning("An item of the SymPy input is of the wrong kind.", "give a list of sympy.Eq"),
    "SG131": Meaning("SymPy has made true or false of an equation.", "a left side must be a new quantity, not an expression"),
    "SG132": Meaning("A SymPy object has no counterpart in the language.", "write the equation with functions of the language"),
    "SG133": Meaning("A SymPy expression is no finite real number.", "look at the numbers: what are they meant to be?"),
    "SG134": Meaning("The cases of a function by cases leave some values out.", "end with a case for all others"),
    "SG135": Meaning("A LaTeX command is not known or not read.", "write names as \\mathrm{name}"),
    "SG136": Meaning("A LaTeX environment, or \\left … \\right, does not pair or is not read.", "give the equations alone"),
    "SG137": Meaning("The LaTeX may mean two things.", "say which: \\cdot, braces or commas make it clear"),
    "SG138": Meaning("Two notations of the LaTeX become one name.", "rename one of them"),
    "SG139": Meaning("The LaTeX notation is not read at this place.", "write it in a plainer notation"),
    "SG140": Meaning("A derivative stands where the model is defined.", "give the model alone; check derivatives with sg.check"),
    "SG141": Meaning("One LaTeX equation has two relations.", "write two equations"),
}

_NAMES = {
    "SG201": Meaning("A function is not known.", "define it, f(u) = …, or write a product with *"),
    "SG202": Meaning("One name or one cell is defined twice.", "give the second one another name, or write += in both"),
    "SG203": Meaning("A name that is no quantity of the model.", "use a name of the model"),
    "SG204": Meaning("A name that has a meaning in the language already.", "choose another name"),
    "SG205": Meaning("One name stands for two kinds of things.", "rename one of them"),
    "SG206": Meaning("A function stands without its argument.", "write its argument in brackets"),
    "SG207": Meaning("A style, format, backend, dtype or another choice that there is not.", "choose one of those that there are"),
    "SG208": Meaning("Two SymPy objects have one name.", "give one of them another name"),
    "SG209": Meaning("This cannot be a name.", "a name has letters, digits and single _"),
    "SG210": Meaning("A quantity that the model computes is named as batched data.", "batch names inputs"),
    "SG211": Meaning("A parameter holds whole numbers, so it cannot be trained.", "declare it as input"),
}

_INDICES = {
    "SG301": Meaning("An index on the right is neither summed over nor on the left side.", "sum over it: sum(… for i)"),
    "SG302": Meaning("One index is bound twice.", "use another index in the inner one"),
    "SG303": Meaning(
        "A quantity is used with a number of indices that it does not have.", "use it with as many indices everywhere"
    ),
    "SG304": Meaning("One name is the end of a range and a quantity.", "rename one of them, or write the range with a number"),
    "SG305": Meaning("An index runs over one range, and the array it reads over another.", "use one range, or another index"),
    "SG306": Meaning("An index stands twice on the left side.", "use two indices"),
    "SG307": Meaning("A range ends before it starts.", "write the lower end first"),
    "SG308": Meaning("An index is no sum of indices with whole factors.", "write indices such as t-1 or 2*i+1"),
    "SG309": Meaning("A cell is read that the array does not have.", "define the cell, or read those that there are"),
    "SG310": Meaning("An index is given a range where there is no such index.", "leave its range out"),
    "SG311": Meaning("The range of an index cannot be found out.", "declare it: index i in 1..N"),
    "SG312": Meaning("The ranges of two indices need each other.", "let one of them have a range of its own"),
    "SG313": Meaning("The equations of the parts of a quantity leave cells out.", "define those cells too"),
    "SG391": Meaning("A quantity that does not hold given whole numbers stands as an index.", "declare it: input k in 1..N"),
}

_GRAPH = {
    "SG401": Meaning("A quantity needs its own value.", "a recurrence is an array: h[t] and h[t-1]"),
    "SG402": Meaning("It is not clear what is to be differentiated.", "write minimize J, or pass loss=, a defined quantity"),
    "SG403": Meaning("The loss has indices, and a gradient is of a scalar.", "sum it first"),
    "SG404": Meaning("The goal is named twice.", "keep one line with minimize or maximize"),
    "SG405": Meaning("There is no derivative through or by something that has whole steps.", "treat it as a constant: stop(…)"),
    "SG406": Meaning("The quantity does not depend on what it is differentiated by.", "name a quantity that it uses"),
    "SG407": Meaning("A gradient in an equation needs its own value.", "take the gradient of a quantity defined without it"),
    "SG408": Meaning("Checkpoints of a recurrence do not fit this model or this use.", "compile without checkpoint="),
}

_SIZE = {
    "SG501": Meaning("The text is too long.", "split it; one equation with indices stands for many"),
    "SG502": Meaning("A number has too many digits.", "write it with fewer; floats keep 16"),
    "SG503": Meaning("A name is too long.", "use a shorter name"),
    "SG504": Meaning("Something is nested too deep.", "name parts of it"),
    "SG505": Meaning("A power of numbers is too large to write out.", "give the number as an input"),
    "SG506": Meaning("A derivative in closed form is too large to print.", "print the backward pass instead"),
    "SG507": Meaning("An expression is too large once everything is put in.", "name parts of it"),
    "SG508": Meaning("An array needs more memory than there is.", "smaller extents, or fewer examples at a time"),
    "SG509": Meaning("A picture would have too many parts.", "draw fewer values"),
}

_DATA = {
    "SG601": Meaning("An array is missing, or one is given that the model does not use.", "pass one array for each name"),
    "SG602": Meaning("An array has the wrong number of axes.", "reshape it"),
    "SG603": Meaning("An array holds numbers of the wrong type, or no numbers.", "convert it with .astype"),
    "SG604": Meaning("An array has an axis of the wrong length.", "pass arrays whose axes fit"),
    "SG605": Meaning(
        "An index in the data, or one that moves, leaves its array.", "give indices within the axis, counted as the equation says"
    ),
    "SG606": Meaning("The data have too few values for a range.", "pass more of them"),
    "SG607": Meaning("Training broke off: a value is no longer finite.", "lower the learning rate, or scale the data"),
    "SG608": Meaning("A setting is outside of what it may be.", "choose another value"),
    "SG609": Meaning("Training is to change what the kernel has no gradient of.", "compile with wrt=[…] that names it"),
    "SG610": Meaning("There is no data set of this name.", "give a file, or a name that there is"),
    "SG611": Meaning("An optional library is not installed.", "install it with pip"),
    "SG612": Meaning("A data file does not hold what is needed.", "mend the file"),
    "SG613": Meaning("The model does not fit the data set.", "change the model, or name its part for the data"),
    "SG614": Meaning("A size is no size of the model, or no number.", "write NAME=NUMBER with an extent of the model"),
    "SG616": Meaning("No points were found at which claims could be compared.", "is the model defined for some inputs?"),
    "SG618": Meaning(
        "An array cannot be bound: it could not be read where it lies.", "bind a contiguous array of the kernel's type"
    ),
    "SG631": Meaning("An array lies in the memory of another device, such as a GPU.", "copy it to the processor's memory first"),
    "SG632": Meaning(
        "An object of another library gives no array.",
        "pass plain numbers: a tensor with a gradient is x.detach(), a sparse one x.to_dense()",
    ),
    "SG633": Meaning("Parameters do not stand in the tree, or the vector, that is needed.", "give one array for each parameter"),
    "SG651": Meaning("The client of a cluster is closed, or is no client.", "make a client: distributed.Client(address)"),
    "SG652": Meaning(
        "What is given as shards is none, or does not go with the settings.", "give functions that return dicts of arrays"
    ),
    "SG653": Meaning("A shard cannot be read.", "let every worker reach its file"),
    "SG654": Meaning("A shard does not hold what the model needs.", "let all shards hold the same names and columns"),
    "SG655": Meaning(
        "A worker has other libraries, or makes another kernel of the program.", "install the same versions on all machines"
    ),
    "SG656": Meaning("The cluster has not done a step.", "look at the scheduler and its workers, then call again"),
    "SG657": Meaning("A shard that was read again holds other numbers.", "let a loader return the same arrays at every call"),
}

_FILES = {
    "SG701": Meaning("The file exists already, or is asked for twice.", "choose another name, or overwrite it with force"),
    "SG702": Meaning("The file cannot be written.", "name a file in a folder that you may write to"),
    "SG703": Meaning("The cache folder is not safe to run code from.", "set SYMGRAD_CACHE to a folder of your own"),
    "SG704": Meaning("The file or folder cannot be read.", "give the name of a file that is there"),
    "SG706": Meaning("The command line cannot be read.", "symgrad --help"),
    "SG707": Meaning("A program that typesets has refused the page.", "print the source and typeset it yourself"),
    "SG708": Meaning("The machine code beside a module is missing or another one.", "save the kernel again"),
    "SG709": Meaning("The machine code beside a module cannot run on this machine.", "save the kernel on this machine"),
    "SG710": Meaning("A library cannot be linked.", "install a C compiler, or save without machine code"),
    "SG711": Meaning("A saved module was edited: its text is not what its SHA-256 is of.", "save the kernel again"),
    "SG712": Meaning(
        "The file is no module that symgrad saved, or holds other code.", "import it with Python, if you trust who wrote it"
    ),
    "SG713": Meaning("A saved module does not have what is asked of it.", "load the model itself, or save the kernel again"),
    "SG714": Meaning("A saved module needs a newer numba.", "pip install -U numba"),
    "SG721": Meaning("A recurrence with checkpoint= is exported, which cannot be.", "compile without checkpoint="),
    "SG722": Meaning("The name of a file cannot begin the names of functions of C.", "use letters, digits and _, as in net.c"),
    "SG723": Meaning("The name of a file is that of another language.", "end it with .c for C, with .py for Python"),
    "SG724": Meaning("A kernel that is an export is to be trained or bound.", 'compile with backend="numba" for that'),
}

CATALOGUE = _SYNTAX | _NAMES | _INDICES | _GRAPH | _SIZE | _DATA | _FILES
