"""The paper's statements, held against what was measured: the registry, who is competent, and the verdicts."""
