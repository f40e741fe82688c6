"""All examples, in the order of their codes."""

from tests.errors.data import DATA
from tests.errors.files import FILES
from tests.errors.graph import GRAPH, SIZE
from tests.errors.indices import INDICES
from tests.errors.names import NAMES
from tests.errors.syntax import SYNTAX

EXAMPLES = (*SYNTAX, *NAMES, *INDICES, *GRAPH, *SIZE, *DATA, *FILES)
