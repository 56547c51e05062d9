"""Figures, drawn from the analysis tables alone: `inputs` reads them, `style` is the one look, a module a figure."""
