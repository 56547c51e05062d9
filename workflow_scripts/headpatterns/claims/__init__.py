"""The paper's statements compared with measurements: the registry, the competence of models, and the verdicts."""
