"""Raw files of the embedded experiment: a small invented world, written in the upstream schemas, and its corpus.

`world` holds the vocabulary and the facts. `stories` and `functions` hold what several datasets tell in their own way.
Each family of datasets has a module that writes its files, and `registry` names these generators. `corpus` tells the
same knowledge as plain text for pretraining. Nothing but the standard library is imported.
"""
