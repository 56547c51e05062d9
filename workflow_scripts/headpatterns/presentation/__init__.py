"""Figures, drawn only from the analysis tables: `inputs` reads these, and `style` is the common look of figures."""
