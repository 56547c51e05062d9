from headpatterns.tables.accuracies import (
    ACCURACY_NUMBERS,
    METHODS,
    MIXING_TEXT,
    SELECTION_TEXT,
    TABLE2_TEXT,
    TABLE3_TEXT,
    VARIANTS,
    table2,
    table2_grids,
    table3,
    table3_grids,
)
from headpatterns.tables.grids import Grid, escape_latex, write
from headpatterns.tables.spread import MODEL_TEXT, NUMBERS, STATISTICS, TASK_TEXT, cell, table1, table1_grids

__all__ = [
    "ACCURACY_NUMBERS",
    "METHODS",
    "MIXING_TEXT",
    "MODEL_TEXT",
    "NUMBERS",
    "SELECTION_TEXT",
    "STATISTICS",
    "TABLE2_TEXT",
    "TABLE3_TEXT",
    "TASK_TEXT",
    "VARIANTS",
    "Grid",
    "cell",
    "escape_latex",
    "table1",
    "table1_grids",
    "table2",
    "table2_grids",
    "table3",
    "table3_grids",
    "write",
]
